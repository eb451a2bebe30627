"""Removes what the rules call old, kind by kind, while this control plane leads the work."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store.errors import LeaseLostError, TransientStoreError

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.retention.chore import CHORES, Chore
from isthmus_control_plane.retention.pace import POSTGRESQL_S, SQLITE_S, Pace
from isthmus_control_plane.retention.rules import Rules
from isthmus_control_plane.retention.work import SHARE, Work

log = get_logger(__name__)

#: How often a process that does not lead looks whether it does, seconds.
_LOOK_EVERY_S: Final = 5.0


class Sweeper:
    """Goes round every few minutes."""

    def __init__(
        self,
        core: Core,
        *,
        leadership: Leadership,
        at: Callable[[], datetime] = clock.now,
        share: float = SHARE,
        pace: Pace | None = None,
    ) -> None:
        """Remove with up to `share` of the time that there is to write in, in parts as large as `pace` says."""
        self._core = core
        self._leadership = leadership
        self._at = at
        self._share = share
        self._boundary = Boundary("retention")
        self.pace: Final = pace or Pace(target_s=POSTGRESQL_S if core.database.is_postgresql else SQLITE_S)

    async def run(self) -> None:
        """Go round until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="retention")

    async def round(self) -> dict[str, int]:
        """Remove all that is old now; returns how many of each kind went. A kind that fails leaves the others alone."""
        rules = Rules.of(self._core.settings, at=self._at())
        work = Work(self._core, leadership=self._leadership, rules=rules, pace=self.pace, share=self._share)
        removed: dict[str, int] = {}
        for kind, chore in CHORES.items():
            if self._core.hub.stopping.is_set():
                break
            with self._boundary.guard(kind=kind):
                removed[kind] = await self._do(chore, work, kind=kind)
        if any(removed.values()):
            log.info("removed", **{kind: count for kind, count in removed.items() if count})
        return removed

    async def _turn(self) -> None:
        if self._leadership.is_held:
            await self.round()
        is_leading = self._leadership.is_held
        pause_s = self._core.settings.retention_interval_s if is_leading else _LOOK_EVERY_S
        await wait_for(self._core.hub.stopping, at_most_s=pause_s)

    async def _do(self, chore: Chore, work: Work, *, kind: str) -> int:
        try:
            return await chore(work)
        except LeaseLostError as error:
            log.info("removal_left_to_another", kind=kind, problem=str(error))
        except TransientStoreError as error:
            # What was removed is removed, the rest waits for the next round.
            log.warning("removal_postponed", kind=kind, problem=str(error))
        return 0
