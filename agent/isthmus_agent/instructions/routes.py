"""What is done about each kind of instruction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.v1 import instruction_pb2 as instruction

from isthmus_agent.drain import DrainSwitch
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.launch import LaunchHandler
from isthmus_agent.instructions.logs import LogHandler
from isthmus_agent.instructions.outcome import Failed, Later, Outcome, Succeeded, Violation
from isthmus_agent.instructions.questions import QuestionHandler
from isthmus_agent.instructions.terminate import TerminateHandler
from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.locations.registry import LocationRegistry


@dataclass(frozen=True)
class Route:
    """What is done about one kind of body."""

    #: Given the body, whose type the table's key tells, and the envelope.
    handle: Callable[[Any, Envelope], Awaitable[Outcome | Later]]
    #: Tells what an earlier delivery did, so that it does not expire afterwards.
    recall: Callable[[Any], Outcome | None] | None = None
    #: Makes sure that nothing comes of what is about to be told as failed, or tells what did.
    give_up: Callable[[Any, Failed], Awaitable[Outcome]] | None = None
    #: Whether it may have to wait for something, so that no delivery may hold it.
    is_taken_down: bool = False


def routes(tools: RunTools) -> Mapping[str, Route]:
    """Return the table: the name of each body in the contract, and its handler."""
    launch = LaunchHandler(tools)
    questions = QuestionHandler(tools.registry, location_wait_s=tools.location_wait_s)
    return {
        "sync_locations": Route(SyncHandler(tools.registry).handle),
        "launch_run": Route(launch.handle, recall=launch.recall, give_up=launch.give_up, is_taken_down=True),
        "terminate_run": Route(TerminateHandler(tools).handle, is_taken_down=True),
        "validate_run": Route(questions.validate),
        "evaluate_schedule": Route(questions.schedule),
        "evaluate_sensor": Route(questions.sensor),
        "fetch_logs": Route(LogHandler(tools).handle),
        "drain_agent": Route(DrainHandler(tools.drain).handle),
    }


class SyncHandler:
    """SyncLocations: takes a new desired set. Loading it is not waited for: reports tell how it goes."""

    def __init__(self, registry: LocationRegistry) -> None:
        """Hand the set to `registry`."""
        self._registry = registry

    async def handle(self, body: instruction.SyncLocations, _: Envelope) -> Outcome:
        """Take the set; names that cannot be served are told, and the others served."""
        refused = self._registry.sync(body)
        if not refused:
            return Succeeded()
        remedy = "Use up to 63 small letters, digits, - and _, with a letter or digit at both ends."
        return Failed(0, violations=tuple(Violation(f"locations[{name!r}].name", remedy) for name in refused))


class DrainHandler:
    """DrainAgent: takes no new runs."""

    def __init__(self, drain: DrainSwitch) -> None:
        """Switch `drain` on when asked."""
        self._drain = drain

    async def handle(self, _: instruction.DrainAgent, __: Envelope) -> Outcome:
        """Switch it on."""
        self._drain.switch_on()
        return Succeeded()
