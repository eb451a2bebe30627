"""What is to be done about a backfill, by how it stands. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isthmus_store.backfills import Move
from isthmus_store.record.backfill import Backfill, UnderWay
from isthmus_store.state import BackfillOutcome, BackfillState, RunState

#: Runs that are made, or ended, in one transaction: it holds SQLite's only write lock meanwhile.
AT_ONCE: Final = 200

_OUTCOMES: Final = {
    RunState.SUCCEEDED: BackfillOutcome.SUCCEEDED,
    RunState.FAILED: BackfillOutcome.FAILED,
    RunState.CANCELED: BackfillOutcome.CANCELED,
}
_GONE: Final = "its run was deleted before its end was seen"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a backfill stands, once what ended of it was taken in."""

    backfill: Backfill
    #: The runs that have not ended.
    left: Sequence[UnderWay]
    #: Whether there are runs that are yet to be made.
    has_waiting: bool
    #: Whether anything failed or was canceled; only asked for once nothing is left.
    has_unmet: bool


@dataclass(frozen=True, slots=True)
class Make:
    """Make so many of the runs that are yet to be made."""

    runs: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make no more runs."""


@dataclass(frozen=True, slots=True)
class EndRuns:
    """Ask for the ends of these runs."""

    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """The backfill has ended."""

    state: BackfillState
    why: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done until a run ends, or somebody decides otherwise."""


Decision = Make | GiveUp | EndRuns | Finish | Rest


def settled(known: Sequence[UnderWay]) -> list[Move]:
    """Return what became of the runs that have ended; one that is followed by a retry goes on as that."""
    moves = []
    for it in known:
        if it.retried_by is not None:
            moves.append(Move(number=it.number, outcome=BackfillOutcome.UNDER_WAY, run_id=it.retried_by))
        elif it.state is None:
            moves.append(Move(number=it.number, outcome=BackfillOutcome.FAILED, run_id=it.run_id, problem=_GONE))
        elif it.state.is_terminal:
            moves.append(Move(number=it.number, outcome=_OUTCOMES[it.state], run_id=it.run_id))
    return moves


def decide(it: Standing) -> Decision:
    """Decide what is next."""
    if it.backfill.state is BackfillState.CANCELING:
        return _cancel(it)
    if not it.has_waiting:
        return Rest() if it.left else _finish(it)
    room = it.backfill.max_runs - len(it.left)
    if it.backfill.paused_at is not None or room <= 0:
        return Rest()
    return Make(min(room, AT_ONCE))


def _cancel(it: Standing) -> Decision:
    if it.has_waiting:
        return GiveUp()
    if not it.left:
        return Finish(BackfillState.CANCELED, "It is canceled: no run of it is left.")
    asked = [run.run_id for run in it.left if run.state is not RunState.CANCELING]
    return EndRuns(tuple(asked[:AT_ONCE])) if asked else Rest()


def _finish(it: Standing) -> Finish:
    if it.has_unmet:
        return Finish(BackfillState.FAILED, "Every run has ended, and not every one succeeded.")
    return Finish(BackfillState.SUCCEEDED, "Every run succeeded.")
