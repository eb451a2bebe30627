"""The engine's event stream, kept open over cuts and restarts of the engine."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary, cancellations, heed_cancellation
from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import AgentError
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.replies import EngineEvent

log = get_logger(__name__)

DIE = "die"
OUT_OF_MEMORY = "oom"

#: First and longest wait before the stream is opened again, seconds.
_RETRY_MIN_S = 0.1
_RETRY_MAX_S = 5.0
#: How far back the engine is asked to repeat itself after a cut, seconds. Events that come twice change nothing.
_OVERLAP_S = 1.0
#: How far the engine's clock may be ahead of ours, seconds.
_MOST_AHEAD_S = 300.0
_NANO = 1_000_000_000


class EventStream:
    """One stream for all containers of an owner: a `wait` per container would hold a connection each."""

    def __init__(
        self,
        engine: Engine,
        *,
        labels: Mapping[str, str],
        on_event: Callable[[EngineEvent], None],
        reconcile: Callable[[], Awaitable[None]],
    ) -> None:
        """Tell `on_event` of deaths; call `reconcile` each time that the engine has begun to listen to us."""
        self._engine = engine
        self._labels = labels
        self._on_event = on_event
        self._reconcile = reconcile
        self._last_s: float | None = None
        self._boundary = Boundary("engine events")

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = Backoff(_RETRY_MIN_S, _RETRY_MAX_S)
        while True:
            cause, before = "the engine closed it", cancellations()
            with self._boundary.guard() as fate:
                try:
                    await self._listen()
                    backoff.reset()
                except AgentError as error:
                    cause = str(error)
            heed_cancellation(before, error=fate.error)
            wait_s = backoff.next_wait_s()
            log.warning("engine_events_lost", cause=str(fate.error or cause), retry_in_s=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def _listen(self) -> None:
        since_s = self._last_s - _OVERLAP_S if self._last_s is not None else None
        stream = self._engine.events(self._labels, actions=(DIE, OUT_OF_MEMORY), since_s=since_s)
        async with aclosing(stream) as events:
            async for event in events:
                if event is None:
                    # Only now: what ends from here on is told, and what ended before is seen.
                    await self._reconcile()
                    continue
                # A time that has not come yet would hide from us what happens until then.
                self._last_s = min(event.time_ns / _NANO, time.time() + _MOST_AHEAD_S)
                self._on_event(event)
