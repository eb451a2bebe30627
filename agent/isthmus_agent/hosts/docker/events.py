"""The engine's event stream, kept open over cuts and restarts of the engine."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import EngineRefusedError, EngineUnavailableError
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.replies import EngineEvent

log = get_logger(__name__)

DIE = "die"
OUT_OF_MEMORY = "oom"

#: First wait before the stream is opened again, seconds; it doubles up to the maximum, give or take a half.
_RETRY_MIN_S = 0.1
_RETRY_MAX_S = 5.0
#: How far back the engine is asked to repeat itself after a cut, seconds. Events that come twice change nothing.
_OVERLAP_S = 1.0
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

    async def run(self) -> None:
        """Listen until cancelled."""
        wait_s = _RETRY_MIN_S
        while True:
            try:
                await self._listen()
                cause = "the engine closed it"
                wait_s = _RETRY_MIN_S
            except (EngineUnavailableError, EngineRefusedError) as error:
                cause = str(error)
            log.warning("engine_events_lost", cause=cause, retry_in_s=round(wait_s, 1))
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 (jitter)
            wait_s = min(wait_s * 2, _RETRY_MAX_S)

    async def _listen(self) -> None:
        since_s = self._last_s - _OVERLAP_S if self._last_s is not None else None
        stream = self._engine.events(self._labels, actions=(DIE, OUT_OF_MEMORY), since_s=since_s)
        async with aclosing(stream) as events:
            async for event in events:
                if event is None:
                    # Only now: what ends from here on is told, and what ended before is seen.
                    await self._reconcile()
                    continue
                self._last_s = event.time_ns / _NANO
                self._on_event(event)
