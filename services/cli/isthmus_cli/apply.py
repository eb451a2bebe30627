"""Applies locations and shows how each of them loads, side by side."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import AgentState, Location, LocationSettings
from isthmus.v1.telemetry_pb2 import LocationPhase
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ClientError, NotFoundError

from isthmus_cli.exit_code import ExitCode
from isthmus_cli.view.location import contents_text, load_failure_lines
from isthmus_cli.view.output import note, print_documents, print_lines
from isthmus_cli.view.paint import Paint

#: Seconds after which a person hears why nothing happens.
_EXPLAIN_AFTER_S = 3.0


@dataclass(frozen=True)
class _Waiter:
    """How to wait for locations, and how to tell of it."""

    client: ControlPlaneClient
    timeout_s: float
    paint: Paint

    async def wait(self, applied: Location) -> Location:
        """Tell each phase until the generation serves or failed; the location as it stands then, or at the timeout."""
        latest = applied
        try:
            async with asyncio.timeout(self.timeout_s), asyncio.TaskGroup() as group:
                explaining = group.create_task(self._explain(applied))
                async for location in self.client.watch_location(applied.settings.name):
                    if location.is_removed:
                        name = applied.settings.name
                        raise NotFoundError(f"Location {name} was removed meanwhile.", kind="location", name=name)
                    self._tell(location, before=latest)
                    latest = location
                    if is_settled(location, generation=applied.generation):
                        explaining.cancel()
                        break
        except TimeoutError:
            note(f"{applied.settings.name}: not settled within {self.timeout_s:g} s; it goes on in the background.")
        return await self.client.with_snapshot(latest)

    def _tell(self, location: Location, *, before: Location) -> None:
        if location.phase != before.phase or location.generation != before.generation:
            facts = f"{location.settings.name}: {self.paint.phase(location.phase)}"
            note(f"{facts}, generation {location.generation}{_agents_text(location)}")
        elif (progress := _progress_text(location)) and progress != _progress_text(before):
            note(f"{location.settings.name}: {self.paint.phase(location.phase)}, {progress}")

    async def _explain(self, applied: Location) -> None:
        """Say why a location stays where it is, when no agent of its pool is there to take it."""
        await asyncio.sleep(_EXPLAIN_AFTER_S)
        with suppress(ClientError):  # An explanation is not worth failing for.
            await self._say_who_is_missing(applied)

    async def _say_who_is_missing(self, applied: Location) -> None:
        location = await self.client.get_location(applied.settings.name)
        pool = location.settings.pool or "default"
        agents = [agent for agent in await self.client.list_agents() if (agent.pool or "default") == pool]
        if location.phase != LocationPhase.LOCATION_PHASE_PENDING:
            return
        if not agents:
            note(f"{applied.settings.name}: waits, pool {pool} has no agent. Make one: isthmus agent create NAME")
        elif all(agent.state != AgentState.AGENT_STATE_ONLINE for agent in agents):
            names = ", ".join(agent.name for agent in agents)
            note(f"{applied.settings.name}: waits, no agent of pool {pool} is online ({names}).")


async def apply_locations(
    client: ControlPlaneClient,
    *,
    settings: Sequence[LocationSettings],
    is_reload: bool,
    timeout_s: float | None,
    is_json: bool,
) -> ExitCode:
    """Apply each location; with a timeout, wait for all of them together and tell what came of it.

    Progress goes to stderr, the result to stdout.
    """
    paint = Paint.of()
    locations = [await client.apply_location(each, reload=is_reload) for each in settings]
    if timeout_s is not None:
        waiter = _Waiter(client=client, timeout_s=timeout_s, paint=paint)
        try:
            locations = await _wait_for_all(waiter, locations=locations)
        except asyncio.CancelledError:
            note("\nNothing was cancelled: loading goes on. See: isthmus location list")
            raise
    if is_json:
        print_documents(locations)
    else:
        for location in locations:
            print_lines(result_lines(location, paint=paint, is_waited_for=timeout_s is not None))
    is_good = timeout_s is None or all(_serves(location) for location in locations)
    return ExitCode.OK if is_good else ExitCode.FAILED


def is_settled(location: Location, *, generation: int) -> bool:
    """Tell whether a generation, or a later one, serves everywhere or failed somewhere."""
    if location.generation < generation:
        return False
    return _serves(location) or location.phase == LocationPhase.LOCATION_PHASE_FAILED


def result_lines(location: Location, *, paint: Paint, is_waited_for: bool) -> list[str]:
    """Tell what came of applying a location."""
    name, generation = paint.bold(location.settings.name), f"generation {location.generation}"
    if not is_waited_for:
        return [f"{name}: applied as {generation}"]
    if _serves(location):
        defines = contents_text(location.snapshot)
        return [f"{paint.green('✓')} {name} serves {generation}{_agents_text(location)}: {defines}"]
    if location.phase == LocationPhase.LOCATION_PHASE_FAILED:
        return [*load_failure_lines(location, paint=paint), "", f"{paint.red('✗')} {name} does not load"]
    return [f"{paint.yellow('…')} {name} is {paint.phase(location.phase)}, {generation}"]


async def _wait_for_all(waiter: _Waiter, *, locations: Sequence[Location]) -> list[Location]:
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(waiter.wait(location)) for location in locations]
    return [wait.result() for wait in waits]


def _progress_text(location: Location) -> str:
    return next((it.report.progress for it in location.placements if it.report.progress), "")


def _serves(location: Location) -> bool:
    """Tell whether launches are answered, at once or after a waking."""
    return location.phase in (LocationPhase.LOCATION_PHASE_SERVING, LocationPhase.LOCATION_PHASE_ASLEEP)


def _agents_text(location: Location) -> str:
    agents = ", ".join(placement.agent for placement in location.placements)
    return f" on {agents}" if agents else ""
