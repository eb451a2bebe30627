"""Applies locations and shows how each of them loads, side by side."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import AgentState, CodeVersion, Location, LocationSettings
from isthmus.v1.telemetry_pb2 import LocationPhase
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ClientError, NotFoundError

from isthmus_cli.exit_code import ExitCode
from isthmus_cli.run_request import person
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


@dataclass(frozen=True, kw_only=True)
class Order:
    """Which locations are applied, and how."""

    settings: Sequence[LocationSettings]
    is_reload: bool = False
    #: How long to wait until they serve or failed, seconds; None for not at all.
    timeout_s: float | None
    #: Of which version their code is, where that is known.
    code_version: CodeVersion | None = None


async def apply_locations(client: ControlPlaneClient, order: Order, *, is_json: bool) -> ExitCode:
    """Apply each location; with a timeout, wait for all of them together and tell what came of it.

    Progress goes to stderr, the result to stdout.
    """
    locations = await applied(client, order)
    is_waited_for = order.timeout_s is not None
    tell(locations, is_waited_for=is_waited_for, is_json=is_json)
    return verdict(locations, is_waited_for=is_waited_for)


def verdict(locations: Sequence[Location], *, is_waited_for: bool) -> ExitCode:
    """Judge what came of applying locations; what nobody waited for is not known to have failed."""
    is_good = not is_waited_for or all(serves(location) for location in locations)
    return ExitCode.OK if is_good else ExitCode.FAILED


def tell(locations: Sequence[Location], *, is_waited_for: bool, is_json: bool) -> None:
    """Print what came of applying locations."""
    if is_json:
        print_documents(locations)
        return
    for location in locations:
        print_lines(result_lines(location, paint=Paint.of(), is_waited_for=is_waited_for))


async def applied(client: ControlPlaneClient, order: Order) -> list[Location]:
    """Apply locations and return them, as they stand at the end of the wait, if there is one. Progress goes to stderr."""
    locations = [
        await client.apply_location(
            each, reload=order.is_reload, requested_by=person(), code_version=order.code_version
        )
        for each in order.settings
    ]
    return await waited_for(client, locations, timeout_s=order.timeout_s)


async def waited_for(
    client: ControlPlaneClient, locations: Sequence[Location], *, timeout_s: float | None
) -> list[Location]:
    """Wait until locations that were applied serve or failed; with no timeout, not at all."""
    if timeout_s is None:
        return list(locations)
    try:
        return await _wait_for_all(_Waiter(client=client, timeout_s=timeout_s, paint=Paint.of()), locations=locations)
    except asyncio.CancelledError:
        note("\nNothing was cancelled: loading goes on. See: isthmus location list")
        raise


def is_settled(location: Location, *, generation: int) -> bool:
    """Tell whether a generation, or a later one, serves everywhere or failed somewhere."""
    if location.generation < generation:
        return False
    return serves(location) or location.phase == LocationPhase.LOCATION_PHASE_FAILED


def result_lines(location: Location, *, paint: Paint, is_waited_for: bool) -> list[str]:
    """Tell what came of applying a location."""
    name, generation = paint.bold(location.settings.name), f"generation {location.generation}"
    if not is_waited_for:
        return [f"{name}: applied as {generation}"]
    if serves(location):
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


def serves(location: Location) -> bool:
    """Tell whether launches are answered, at once or after a waking."""
    return location.phase in (LocationPhase.LOCATION_PHASE_SERVING, LocationPhase.LOCATION_PHASE_ASLEEP)


def _agents_text(location: Location) -> str:
    agents = ", ".join(placement.agent for placement in location.placements)
    return f" on {agents}" if agents else ""
