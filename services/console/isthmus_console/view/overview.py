"""What the overview shows of runs: what runs, what waits and what failed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from isthmus.v1.control_plane_pb2 import ListRunsQuery, Run, RunState

#: Runs that are looked at, the newest ones.
_MOST: Final = 200
#: Of each kind that are named.
_MOST_SHOWN: Final = 20
_WAITING: Final = frozenset({RunState.RUN_STATE_QUEUED})
_UNDER_WAY: Final = frozenset(
    {
        RunState.RUN_STATE_DISPATCHED,
        RunState.RUN_STATE_STARTING,
        RunState.RUN_STATE_RUNNING,
        RunState.RUN_STATE_CANCELING,
    }
)
_FAILED: Final = frozenset({RunState.RUN_STATE_FAILED})


def overview_query() -> ListRunsQuery:
    """Return the question for the runs that concern somebody: what has not ended, and what failed."""
    return ListRunsQuery(states=sorted(_WAITING | _UNDER_WAY | _FAILED), page_size=_MOST)


@dataclass(frozen=True)
class RunGroups:
    """The newest runs, by what they are doing."""

    under_way: Sequence[Run]
    waiting: Sequence[Run]
    failed: Sequence[Run]

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Self:
        """Sort runs into groups, of each as many as a page shows."""
        there = list(runs)
        groups = ([run for run in there if run.state in states] for states in (_UNDER_WAY, _WAITING, _FAILED))
        return cls(*(group[:_MOST_SHOWN] for group in groups))
