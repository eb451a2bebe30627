"""When a run under way has taken too long. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from isthmus.v1.control_plane_pb2 import QueueSettings
from isthmus_store.state import RunState
from isthmus_store.timeouts import UnderWay

from isthmus_control_plane.validation.queue import MOST_TIME_S


class Stage(Enum):
    """What took too long."""

    START = auto()
    RUN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class TimeRules:
    """What a deployment allows, seconds; 0 for as long as it takes."""

    start_s: float = 0.0
    cancel_s: float = 0.0
    max_runtime_s: float = 0.0

    @classmethod
    @lru_cache(maxsize=100)
    def parse(cls, body: bytes) -> "TimeRules":
        """Read them from a stored QueueSettings message."""
        said = QueueSettings.FromString(body).run_timeouts
        return cls(said.start_s, said.cancel_s, said.max_runtime_s)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a stage of a run is over at the latest, and how long it was given."""

    at: datetime
    stage: Stage
    allowed_s: float


#: Of a deployment that has said nothing.
NO_RULES: Final = TimeRules()


def deadline_of(run: UnderWay, *, rules: TimeRules) -> Deadline | None:
    """Return the deadline of the stage that a run is in; None for one that may take as long as it likes."""
    match run.state:
        case RunState.CANCELING:
            return _deadline(run.end_asked_at, Stage.END, rules.cancel_s)
        case RunState.DISPATCHED | RunState.STARTING:
            return _deadline(run.dispatched_at, Stage.START, rules.start_s)
        case RunState.RUNNING:
            return _deadline(_began_at(run), Stage.RUN, _max_runtime_s(run.max_runtime, otherwise=rules.max_runtime_s))
        case _:
            return None


def deadlines(runs: list[UnderWay], *, rules: Mapping[str, TimeRules]) -> list[tuple[Deadline, UnderWay]]:
    """List the deadlines of runs, the next one first."""
    found = [(it, run) for run in runs if (it := deadline_of(run, rules=rules.get(run.deployment, NO_RULES)))]
    return sorted(found, key=lambda it: it[0].at)


def _deadline(since: datetime | None, stage: Stage, allowed_s: float) -> Deadline | None:
    if since is None or not 0 < allowed_s <= MOST_TIME_S:
        return None
    return Deadline(since + timedelta(seconds=allowed_s), stage, allowed_s)


def _began_at(run: UnderWay) -> datetime | None:
    """Return since when a run's time counts: by a clock of this side, since an agent's may be wrong."""
    return run.accepted_at or run.started_at


def _max_runtime_s(said: str, *, otherwise: float) -> float:
    """Return what a run's tag allows, or what its deployment does where the tag is no time."""
    try:
        seconds = float(said)
    except ValueError:
        return otherwise
    return otherwise if math.isnan(seconds) or seconds < 0 else seconds
