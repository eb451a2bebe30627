"""Whether a run that failed is done again, and when. Pure.

The rules are a deployment's; the tags of a run go over them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, assert_never

from isthmus.v1.control_plane_pb2 import QueueSettings

from isthmus_store.state import RunReason

MAX_RETRIES_TAG: Final = "dagster/max_retries"
STRATEGY_TAG: Final = "dagster/retry_strategy"
ON_STEP_FAILURE_TAG: Final = "dagster/retry_on_asset_or_op_failure"
#: An addition to Dagster's tags: seconds before the first retry, doubled before each of the next.
BACKOFF_TAG: Final = "isthmus/retry_backoff_s"
#: The longest pause where no rule says another, seconds.
DEFAULT_MAX_BACKOFF_S: Final = 3_600.0
#: No pause is longer, seconds, whatever is asked for.
MOST_BACKOFF_S: Final = 7 * 86_400.0
#: A run is not done again more often, whatever is asked for.
MOST_RETRIES: Final = 1_000


class FailureClass(StrEnum):
    """What kind of thing went wrong; rules may tell them apart."""

    #: An op or an asset failed.
    STEP = "step"
    #: The user's code failed outside its steps, as where resources are made.
    RUN = "run"
    #: What executed the run died, or was lost.
    WORKER = "worker"
    #: The run could not be started.
    START = "start"
    #: It took longer than it may.
    TIMEOUT = "timeout"
    #: A fault of this system, or of the machine below it.
    INTERNAL = "internal"
    #: What was asked for is refused, and would be again.
    REQUEST = "request"


class Strategy(StrEnum):
    """Which steps are done again."""

    FROM_FAILURE = "FROM_FAILURE"
    ALL_STEPS = "ALL_STEPS"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryRules:
    """A deployment's rules."""

    is_enabled: bool = True
    max_retries: int = 0
    on_step_failure: bool = True
    #: In place of `max_retries` for failures of a class.
    by_class: Mapping[str, int] = field(default_factory=dict)
    backoff_s: float = 0.0
    max_backoff_s: float = DEFAULT_MAX_BACKOFF_S

    @classmethod
    @lru_cache(maxsize=100)
    def parse(cls, body: bytes) -> "RetryRules":
        """Read them from a stored QueueSettings message."""
        said, usual = QueueSettings.FromString(body).run_retries, cls()
        return cls(
            is_enabled=said.enabled if said.HasField("enabled") else usual.is_enabled,
            max_retries=said.max_retries,
            on_step_failure=(
                said.retry_on_asset_or_op_failure
                if said.HasField("retry_on_asset_or_op_failure")
                else usual.on_step_failure
            ),
            by_class=dict(said.by_class),
            backoff_s=said.backoff_s,
            max_backoff_s=said.max_backoff_s if said.HasField("max_backoff_s") else usual.max_backoff_s,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A run that failed."""

    reason: RunReason
    #: Whether a step's failure was the run's.
    is_of_step: bool
    tags: Mapping[str, str]
    #: The first run and all that followed it, this one among them, whoever asked for them.
    group_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """The run is done again."""

    #: Counted from 1.
    number: int
    most: int
    strategy: Strategy
    #: How long it is to wait.
    pause_s: float


@dataclass(frozen=True, slots=True)
class NoRetry:
    """The failure stands."""

    #: One line for people; empty where nobody asked for retries.
    why: str = ""


def class_of(reason: RunReason, *, is_of_step: bool) -> FailureClass:
    """Return the class of a failure."""
    match reason:
        case RunReason.USER_ERROR:
            return FailureClass.STEP if is_of_step else FailureClass.RUN
        case (
            RunReason.PROCESS_KILLED
            | RunReason.PROCESS_EXITED
            | RunReason.OUT_OF_MEMORY
            | RunReason.WORKER_LOST
            | RunReason.AGENT_LOST
            | RunReason.CODE_SERVER_STOPPED
        ):
            return FailureClass.WORKER
        case RunReason.LOCATION_UNAVAILABLE | RunReason.IMAGE_UNAVAILABLE | RunReason.CONTAINER_START_FAILED:
            return FailureClass.START
        case RunReason.START_TIMEOUT | RunReason.MAX_RUNTIME:
            return FailureClass.TIMEOUT
        case RunReason.INVALID_REQUEST | RunReason.REFUSED_BY_POLICY | RunReason.UNSUPPORTED:
            return FailureClass.REQUEST
        case RunReason.INTERNAL_ERROR | RunReason.UNSPECIFIED | RunReason.CANCELED_BY_REQUEST:
            return FailureClass.INTERNAL
        case _:
            assert_never(reason)


def may_be_retried(tags: Mapping[str, str], *, rules: RetryRules) -> bool:
    """Tell whether anybody asked for retries of such a run: all else costs questions to the database."""
    return rules.is_enabled and (MAX_RETRIES_TAG in tags or max(rules.max_retries, *rules.by_class.values(), 0) > 0)


def decide(failure: Failure, *, rules: RetryRules) -> Retry | NoRetry:
    """Decide about a run that failed."""
    if not may_be_retried(failure.tags, rules=rules):
        return NoRetry()
    of_class = class_of(failure.reason, is_of_step=failure.is_of_step)
    if of_class is FailureClass.REQUEST:
        return NoRetry(f"what is refused as {failure.reason} is refused again")
    if of_class is FailureClass.STEP and not _is_on(failure.tags, otherwise=rules.on_step_failure):
        return NoRetry("an op or asset failed, and retries are for other failures alone")
    said = failure.tags.get(MAX_RETRIES_TAG)
    most = rules.by_class.get(of_class, rules.max_retries) if said is None else _whole(said)
    if most is None:
        return NoRetry(f"its tag {MAX_RETRIES_TAG} is no number: {said}")
    most = min(most, MOST_RETRIES)
    if failure.group_size > most:
        return NoRetry(_spent(most, of_class=of_class))
    number = failure.group_size
    return Retry(
        number=number, most=most, strategy=_strategy(failure.tags), pause_s=_pause_s(number, failure.tags, rules)
    )


def _spent(most: int, *, of_class: FailureClass) -> str:
    if most <= 0:
        return f"failures of the class {of_class} are not retried"
    return f"{most} of {most} retries were made"


def _strategy(tags: Mapping[str, str]) -> Strategy:
    """Return what the tag says; what is neither counts as nothing said, as in Dagster."""
    said = tags.get(STRATEGY_TAG, "")
    return Strategy(said) if said in Strategy.__members__ else Strategy.FROM_FAILURE


def _pause_s(number: int, tags: Mapping[str, str], rules: RetryRules) -> float:
    first_s = _seconds(tags.get(BACKOFF_TAG, ""))
    if first_s is None:
        first_s = rules.backoff_s
    if not 0 < first_s < math.inf:
        return 0.0
    # From here on doubling changes nothing, and a float has an end.
    doublings = min(number - 1, 40)
    return min(first_s * 2.0**doublings, max(rules.max_backoff_s, 0.0), MOST_BACKOFF_S)


def _is_on(tags: Mapping[str, str], *, otherwise: bool) -> bool:
    said = tags.get(ON_STEP_FAILURE_TAG)
    return otherwise if said is None else said.strip().lower() in {"true", "1", "yes", "t", "y"}


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
