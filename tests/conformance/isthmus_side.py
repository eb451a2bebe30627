"""Executes launches on a running system and reads the histories that it keeps of them.

The system is the real thing: an API call, the broker, an agent, a code server with a process per run, the monitor's
event log. So a run may also ask its instance for what runs before it left.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.case import Group, slug
from conformance.isthmus_facts import Fact, errors, facts, refusal
from isthmus.v1.control_plane_pb2 import LaunchRunRequest, ReexecuteRunRequest, Run
from isthmus.v1.instruction_pb2 import AssetCheckRef, CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, AssetKey, FieldViolation
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import InvalidRequestError
from support.system import Operator

#: How long a run may take, seconds.
_RUN_TIMEOUT_S = 60.0


async def execute(
    operator: Operator,
    group: Group,
    launches: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    folder: Path,
    env: Mapping[str, str],
    python: str,
) -> dict[str, list[list[Fact]]]:
    """Execute launches on a location of their own, which is gone afterwards.

    Raises:
        AssertionError: The project cannot be loaded, or a run did not end.
    """
    source = CodeSource(
        module=group.module,
        attribute=group.attribute,
        working_directory=str(folder),
        python_executable=python,
    )
    name = slug(group)
    location = await operator.apply(name, source, env=env)
    assert location.phase == LOCATION_PHASE_SERVING, location
    try:
        return {
            case: [await _execute(operator, name, launch, case=several) for launch in several]
            for case, several in launches.items()
        }
    finally:
        await operator.client.remove_location(name)


async def _execute(
    operator: Operator, location: str, launch: Mapping[str, Any], *, case: Sequence[Mapping[str, Any]]
) -> list[Fact]:
    try:
        run_id = await _launch(operator.client, location, launch, case=case)
    except InvalidRequestError as error:
        return [refusal([FieldViolation(field=fault.field) for fault in error.violations])]
    run, updates = await operator.history(run_id, within=_RUN_TIMEOUT_S)
    events = [update.event for update in updates]
    if not any(event.HasField("run_started") for event in events):
        return [_refused(run)]
    return facts(events)


async def _launch(
    client: ControlPlaneClient, location: str, launch: Mapping[str, Any], *, case: Sequence[Mapping[str, Any]]
) -> str:
    run_id: str = launch["run_id"]
    if launch["parent"] is None:
        await client.launch_run(_launch_request(location, launch))
        return run_id
    request = ReexecuteRunRequest(
        parent_run_id=case[launch["parent"]]["run_id"], run_id=run_id, step_keys=launch["steps"], tags=launch["tags"]
    )
    if launch["is_from_failure"]:
        request.strategy = ReexecuteRunRequest.STRATEGY_FROM_FAILURE
    await client.reexecute_run(request)
    return run_id


def _launch_request(location: str, launch: Mapping[str, Any]) -> LaunchRunRequest:
    return LaunchRunRequest(
        run_id=launch["run_id"],
        location=location,
        job_name=launch["job"],
        run_config_json=json.dumps(launch["config"]) if launch["config"] is not None else "",
        op_selection=launch["ops"],
        asset_selection=[AssetKey(path=key.split("/")) for key in launch["assets"]],
        check_selection=[
            AssetCheckRef(asset=AssetKey(path=key.split("/")), check_name=name) for key, name in launch["checks"]
        ],
        partition_key=launch["partition"],
        tags=launch["tags"],
    )


def _refused(run: Run) -> Fact:
    """Tell of a run of which nothing started."""
    if run.violations:
        return refusal(run.violations)
    return {"event": "REJECTED", "error": errors(run.failure)}
