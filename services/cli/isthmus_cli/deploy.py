"""Makes a deployment what a file says: compares, applies, waits, and tells what is different."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isthmus.v1.control_plane_pb2 import CodeVersion, Location, LocationSettings
from isthmus.v1.telemetry_pb2 import LocationSnapshot
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import InvalidRequestError

from isthmus_cli.apply import Order, applied, result_lines, serves, verdict
from isthmus_cli.deployment_plan import (
    Change,
    DefinitionChange,
    FieldChange,
    Plan,
    SettingsChange,
    alert_changes,
    definition_changes,
    plan,
    queue_changes,
)
from isthmus_cli.document import to_document
from isthmus_cli.errors import InputError
from isthmus_cli.exit_code import ExitCode
from isthmus_cli.location_file import ProjectFile
from isthmus_cli.run_request import person
from isthmus_cli.view.deployment import definition_lines, plan_document, plan_lines
from isthmus_cli.view.output import note, print_json, print_lines
from isthmus_cli.view.paint import Paint


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """What is deployed, and how."""

    wanted: ProjectFile
    code_version: CodeVersion | None
    #: Remove what is not in the file.
    is_pruned: bool
    #: Import again though nothing changed.
    is_reload: bool
    #: How long to wait until all serve or failed, seconds; None for not at all.
    timeout_s: float | None


async def planned(client: ControlPlaneClient, deploy: Deploy) -> Plan:
    """Compare what is wanted with what is there. What cannot be applied is refused before anything is.

    Raises:
        InputError: It names the location and the setting.
    """
    for each in deploy.wanted.locations:
        await _check(client, each, code_version=deploy.code_version)
    alerts = await _alert_changes(client, deploy)
    of_locations = plan(deploy.wanted.locations, there=await client.list_locations(), is_pruned=deploy.is_pruned)
    return replace(of_locations, queue=tuple(await _queue_changes(client, deploy)), alerts=tuple(alerts))


async def carry_out(client: ControlPlaneClient, deploy: Deploy, *, is_json: bool) -> ExitCode:
    """Deploy. What is said while it goes on goes to stderr, what came of it to stdout."""
    intended = await planned(client, deploy)
    for line in plan_lines(intended, paint=Paint.of()):
        note(line)
    before = await _snapshots(client, intended)
    if intended.queue and deploy.wanted.queue is not None:
        await client.set_queue_settings(deploy.wanted.queue, requested_by=person())
    if deploy.wanted.alerts is not None:
        await client.sync_alert_policies(deploy.wanted.alerts.policies, requested_by=person())
    order = Order(
        settings=deploy.wanted.locations,
        is_reload=deploy.is_reload,
        timeout_s=deploy.timeout_s,
        code_version=deploy.code_version,
    )
    locations = await applied(client, order)
    # Last: what takes the place of a location serves by then.
    came = verdict(locations, is_waited_for=deploy.timeout_s is not None)
    removed = await _prune(client, deploy, intended=intended, is_good=came is ExitCode.OK)
    if is_json:
        print_json(json.dumps(_document(intended, locations, before=before), indent=2))
    else:
        _tell(locations, before=before, is_waited_for=deploy.timeout_s is not None)
        print_lines(f"removed {name}" for name in removed)
    return came


async def _check(client: ControlPlaneClient, settings: LocationSettings, *, code_version: CodeVersion | None) -> None:
    try:
        await client.validate_location(settings, code_version=code_version)
    except InvalidRequestError as error:
        faults = [f"  {it.field}: {it.description}" for it in error.violations] or [f"  {error}"]
        raise InputError(
            "\n".join([f"location {settings.name} cannot be applied:", *faults]), remedy="Nothing was changed."
        ) from error


async def _queue_changes(client: ControlPlaneClient, deploy: Deploy) -> list[FieldChange]:
    if deploy.wanted.queue is None:
        return []
    return queue_changes((await client.get_queue()).settings.settings, deploy.wanted.queue)


async def _alert_changes(client: ControlPlaneClient, deploy: Deploy) -> list[SettingsChange]:
    """Compare the alert policies; a file that says nothing of them leaves them alone.

    Raises:
        InputError: It names line and field of what the control plane refuses.
    """
    wanted = deploy.wanted.alerts
    if wanted is None:
        return []
    try:
        told = await client.sync_alert_policies(wanted.policies, prune=deploy.is_pruned, dry_run=True)
    except InvalidRequestError as error:
        raise wanted.refusal(error) from error
    return alert_changes(wanted.policies, there=[it.policy for it in await client.list_alert_policies()], told=told)


async def _snapshots(client: ControlPlaneClient, intended: Plan) -> dict[str, LocationSnapshot]:
    """Return what locations that are there define now."""
    there = [it.name for it in intended.locations if it.change in (Change.CHANGED, Change.UNCHANGED)]
    return {name: (await client.get_location(name)).snapshot for name in there}


async def _prune(client: ControlPlaneClient, deploy: Deploy, *, intended: Plan, is_good: bool) -> list[str]:
    locations = [it.name for it in intended.locations if it.change is Change.REMOVED]
    policies = [it.name for it in intended.alerts if it.change is Change.REMOVED]
    names = [f"location {it}" for it in locations] + [f"alert policy {it}" for it in policies]
    if names and not is_good:
        note(f"Not removed, since not all of the file serves: {', '.join(names)}.")
        return []
    for name in locations:
        await client.remove_location(name)
    if policies and deploy.wanted.alerts is not None:
        await client.sync_alert_policies(deploy.wanted.alerts.policies, prune=True, requested_by=person())
    return names


def _changes(location: Location, *, before: Mapping[str, LocationSnapshot]) -> list[DefinitionChange]:
    if not serves(location):
        return []
    return definition_changes(before.get(location.settings.name, LocationSnapshot()), location.snapshot)


def _tell(locations: Sequence[Location], *, before: Mapping[str, LocationSnapshot], is_waited_for: bool) -> None:
    paint = Paint.of()
    for location in locations:
        print_lines(result_lines(location, paint=paint, is_waited_for=is_waited_for))
        # Of a location that was not there before, all of it is new: its line has the counts.
        if is_waited_for and location.settings.name in before:
            changes = _changes(location, before=before)
            print_lines(definition_lines(changes, paint=paint) or ["    its definitions are those of before"])


def _document(
    intended: Plan, locations: Sequence[Location], *, before: Mapping[str, LocationSnapshot]
) -> dict[str, Any]:
    definitions = {
        location.settings.name: [
            {"kind": it.kind, "name": it.name, "change": it.change.name.lower()}
            for it in _changes(location, before=before)
        ]
        for location in locations
    }
    return {
        "plan": plan_document(intended),
        "locations": [to_document(it) for it in locations],
        "definitions": definitions,
    }
