"""Asks code servers what schedules and sensors want at a tick, again and again until one answers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger
from isthmus_store import ticks
from isthmus_store.errors import LeaseLostError
from isthmus_store.record.automation import Tick

from isthmus_control_plane import clock
from isthmus_control_plane.automation import effects, surroundings
from isthmus_control_plane.automation.asked import Asked, SensorAsked
from isthmus_control_plane.automation.effects import Effects
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.errors import AnswerTimeoutError, BrokerAwayError, UnsupportedByAgentError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.questions import Questions, Respondent
from isthmus_control_plane.validation.definition import AUTOMATION

log = get_logger(__name__)

#: How often an evaluation is begun that does not come to an end in its time.
MOST_TRIES: Final = 3
#: Pauses between looks for somebody who answers, seconds.
_PAUSE_MIN_S: Final = 0.2
_PAUSE_MAX_S: Final = 10.0
#: How long it is believed who answers, seconds: those that are due together ask the database once.
_BELIEVED_S: Final = 1.0


class Evaluator:
    """Evaluates schedules and sensors where they are defined, a few of one location at once."""

    def __init__(self, core: Core, *, questions: Questions, memory: world.SyncMemory, leadership: Leadership) -> None:
        self._core = core
        self._questions = questions
        self._memory = memory
        self._leadership = leadership
        self._room: dict[LocationKey, asyncio.Semaphore] = {}
        #: Who was found to answer for a location, until when that is believed, and after how many changes it was read.
        self._found: dict[LocationKey, tuple[dict[AgentKey, Respondent], float, int]] = {}

    async def evaluate(self, asked: Asked, *, is_wanted: Callable[[], bool]) -> Effects:
        """Return what a tick comes to.

        A location that nobody serves is waited for, as long as the tick `is_wanted`.

        Raises:
            LeaseLostError: Another leads: the tick is his.
        """
        backoff, tries = Backoff(_PAUSE_MIN_S, _PAUSE_MAX_S), asked.tick.attempts
        room = self._room.setdefault(asked.location, asyncio.Semaphore(self._core.settings.ticks_at_once))
        while True:  # pauses: for an answer that does not come in its time, or until the location may have one
            if not self._leadership.is_held:
                raise LeaseLostError(name="tick", number=self._leadership.number)
            if not is_wanted():
                return effects.skipped(f"the {asked.what} was stopped, or left the code, before the tick was evaluated")
            with self._core.hub.location(asked.location) as wake:
                try:
                    async with room:
                        found = await self.ask(asked, tries=tries)
                except AnswerTimeoutError as error:
                    if tries >= MOST_TRIES:
                        message = f"{error} The evaluation was tried {tries} times."
                        return effects.failed(telemetry.Failure(error_class="EvaluationTimeout", message=message))
                    tries += 1
                    await self._count(asked.tick)
                    continue
                if found is not None:
                    return found
                await wake.wait(at_most_s=backoff.next_wait_s())

    async def ask(self, asked: Asked, *, tries: int = 0) -> Effects | None:
        """Ask once; None when nobody can answer now.

        Args:
            asked: What is asked.
            tries: How often it was asked before: of several agents that serve the location another one may be asked.

        Raises:
            AnswerTimeoutError: No answer came in time.
        """
        respondents = await self._respondents(asked.location)
        if not respondents:
            return None
        respondent = respondents[queue.any_of(respondents, turn=f"{asked.tick.id}/{tries}")]
        deadline_s = self._core.settings.tick_deadline_s
        asked = await self._with_surroundings(asked)
        try:
            result = await self._questions.ask(respondent, timeout_s=deadline_s, fill=asked.fill)
        except BrokerAwayError as error:
            log.info("evaluation_postponed", tick=asked.tick.id, problem=str(error))
            return None
        except UnsupportedByAgentError as error:
            return effects.failed(telemetry.Failure(error_class="Unsupported", message=str(error)))
        if result.reason == telemetry.RUN_REASON_LOCATION_UNAVAILABLE:
            log.info("evaluation_postponed", tick=asked.tick.id, problem=result.failure.message)
            return None
        return asked.effects_of(result)

    async def _with_surroundings(self, asked: Asked) -> Asked:
        """Tell a sensor of automation what other locations define around it now."""
        if not isinstance(asked, SensorAsked) or asked.sensor.kind != AUTOMATION:
            return asked
        async with self._core.database.read() as tx:
            found = await surroundings.read(tx, asked.sensor, place=asked.location, core=self._core)
        return replace(asked, surroundings=found)

    async def _respondents(self, key: LocationKey) -> dict[AgentKey, Respondent]:
        now, changes = asyncio.get_running_loop().time(), self._core.hub.schedule_changes
        known = self._found.get(key)
        if known is not None and now < known[1] and changes == known[2]:
            return known[0]
        found = await self._read_respondents(key)
        if found:
            self._found[key] = (found, now + _BELIEVED_S, changes)
        return found

    async def _read_respondents(self, key: LocationKey) -> dict[AgentKey, Respondent]:
        async with self._core.database.look() as tx:
            seen = await world.read_location(tx, key, memory=self._memory, at=clock.now())
        verdict = queue.decide(key, fleet=seen.fleet)
        if isinstance(verdict, queue.Wait):
            log.info("evaluation_postponed", location=key.name, problem=verdict.reason)
            return {}
        return {it.key: Respondent(it.key, seen.agents[it.key].broker_user) for it in verdict.agents}

    async def _count(self, tick: Tick) -> None:
        async with self._leadership.write() as tx:
            await ticks.try_again(tx, [tick.id])
