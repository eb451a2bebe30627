"""A run's history, told as it happens."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store import events, runs
from isthmus_store.record.event import StoredEvent
from isthmus_store.record.run import Run

from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.runs import find
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.errors import StoppingError, Violation
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

#: Events that are read at once: bounds the memory of a watcher that reads slowly.
_PAGE = 500
#: How often a watcher looks when nothing wakes it, seconds.
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands at a moment."""

    run: Run
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Look:
    run: Run
    events: list[StoredEvent]
    #: None where nothing of the run itself is to be told.
    tags: Mapping[str, str] | None


class WatchDesk:
    """Tells runs' histories."""

    def __init__(self, core: Core, *, waits: Waits) -> None:
        self._core = core
        self._waits = waits

    async def watch(self, request: api.WatchRunRequest) -> AsyncGenerator[Standing | StoredEvent, None]:
        """Yield the run, its events after the position, and the run again whenever it changed.

        Ends, with the run, when it has ended and all its events were told.

        Raises:
            StoppingError: The service stops; the caller goes on elsewhere from the last position that it has.
        """
        refuse(rules.of_run(deployment=request.deployment, run_id=request.run_id))
        position, told = request.after_position, None
        with ExitStack() as listening:
            wake = listening.enter_context(self._core.hub.run(request.run_id.lower()))
            while not self._core.hub.is_closed:  # pauses: the store is asked for the next page
                look = await self._look(request, position=position, told=told)
                if told is None:
                    refuse(_position_violations(request, run=look.run))
                    line = LocationKey(look.run.deployment, look.run.location)
                    listening.enter_context(self._core.hub.line(line, wake=wake))
                    yield Standing(look.run, look.tags or {})
                    told = look.run
                for event in look.events:
                    yield event
                    position = event.position
                is_over = look.run.state.is_terminal and position >= look.run.last_position
                is_first_also_last = look.run is told and not look.events
                if (is_over and not is_first_also_last) or _is_news(look.run, told=told):
                    yield Standing(look.run, look.tags or {})
                    told = look.run
                if is_over:
                    return
                if not look.events or position >= look.run.last_position:
                    await wake.wait(at_most_s=_POLL_S)
        raise StoppingError

    async def _look(self, request: api.WatchRunRequest, *, position: int, told: Run | None) -> _Look:
        run_id = request.run_id.lower()
        # Not one state of both: the events may go further than the run, as it stands here, knows of.
        async with self._core.database.look() as tx:
            run = await find(tx, deployment=request.deployment or DEFAULT, run_id=run_id)
            has_more = position < run.last_position
            found = await events.after(tx, run_id, position=position, limit=_PAGE) if has_more else []
            run = self._waits.explained(run)
            may_be_told = told is None or run.state.is_terminal or _is_news(run, told=told)
            tags = (await runs.tags(tx, [run_id])).get(run_id, {}) if may_be_told else None
            return _Look(run, found, tags)


def _is_news(run: Run, *, told: Run) -> bool:
    return (run.state, run.attempt, run.message) != (told.state, told.attempt, told.message)


def _position_violations(request: api.WatchRunRequest, *, run: Run) -> list[Violation]:
    if request.after_position <= run.last_position:
        return []
    return [Violation("after_position", f"the run's history ends at {run.last_position}")]
