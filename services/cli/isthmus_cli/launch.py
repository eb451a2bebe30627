"""Finds the job that a person means, and launches a run that its definitions were asked about before, when they serve."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import LaunchRunRequest, Location, Run, ValidateLaunchResponse
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ServerFaultError, TransientError, UnsupportedCallError

from isthmus_cli.run_name import brief_id
from isthmus_cli.run_request import RunTarget, needs_locations, resolve_target
from isthmus_cli.view.failure import failure_lines, violation_lines
from isthmus_cli.view.output import note
from isthmus_cli.view.paint import Paint


@dataclass(frozen=True)
class Launched:
    """What came of a launch: the run, or what the definitions have against it."""

    run: Run | None
    verdict: ValidateLaunchResponse


async def target_of(
    client: ControlPlaneClient, words: Sequence[str], *, has_assets: bool, verb: str = "run launch"
) -> RunTarget:
    """Read `[LOCATION] JOB`, and ask for the locations where the words alone do not name both; see `resolve_target`."""
    locations = await _known_locations(client, has_job=bool(words)) if needs_locations(words) else ()
    return resolve_target(words, has_assets=has_assets, locations=locations, verb=verb)


async def launch_run(client: ControlPlaneClient, request: LaunchRunRequest, *, is_validated: bool) -> Launched:
    """Launch a run, unless the definitions were asked and would refuse it.

    When they cannot answer, because the location does not serve or its agent is silent, the run is launched: it waits in
    the queue, and they judge it at its start.
    """
    verdict = await _verdict(client, request) if is_validated else ValidateLaunchResponse()
    if not is_valid(verdict):
        return Launched(None, verdict)
    request.run_id = request.run_id or str(uuid.uuid4())
    try:
        return Launched(await client.launch_run(request), verdict)
    except asyncio.CancelledError:
        note(f"\nWhether the run was launched is not known. Look: isthmus run show {brief_id(request.run_id)}")
        raise


def is_valid(verdict: ValidateLaunchResponse) -> bool:
    """Tell whether a launch would be accepted."""
    return not verdict.violations and not verdict.HasField("failure")


def refusal_lines(verdict: ValidateLaunchResponse, *, paint: Paint) -> list[str]:
    """Tell what the definitions have against a launch."""
    failure = failure_lines(verdict.failure, paint=paint) if verdict.HasField("failure") else []
    return [*violation_lines(verdict.violations, paint=paint), *failure]


async def _verdict(client: ControlPlaneClient, request: LaunchRunRequest) -> ValidateLaunchResponse:
    try:
        return await client.validate_run(request)
    except (TransientError, ServerFaultError, UnsupportedCallError):
        return ValidateLaunchResponse()


async def _known_locations(client: ControlPlaneClient, *, has_job: bool) -> list[Location]:
    """Ask for the locations; where a choice may have to be explained, with what they define."""
    locations = list(await client.list_locations())
    if has_job and len(locations) == 1:
        return locations
    return [await client.get_location(location.settings.name) for location in locations]
