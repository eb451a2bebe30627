"""The closed sets of the store: run states and reasons, agent states, location phases, instruction outcomes.

Each is stored as its name, so that an operator can read the tables; `wire` maps them to the contract's numbers.
"""

from enum import StrEnum
from typing import Final


class RunState(StrEnum):
    """Where a run is; see `transition` for the moves between them."""

    QUEUED = "QUEUED"
    DISPATCHED = "DISPATCHED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended: such a state is never left, but for what `transition` says of lost attempts."""
        return self in TERMINAL_STATES

    @property
    def rank(self) -> int:
        """How far the run has come: a run's rank never falls within an attempt."""
        return _RANKS[self]


TERMINAL_STATES: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED})
#: States that hold a place on an agent.
ACTIVE_STATES: Final = frozenset({RunState.DISPATCHED, RunState.STARTING, RunState.RUNNING, RunState.CANCELING})

_RANKS: Final = {
    RunState.QUEUED: 0,
    RunState.DISPATCHED: 1,
    RunState.STARTING: 2,
    RunState.RUNNING: 3,
    RunState.CANCELING: 4,
    RunState.SUCCEEDED: 5,
    RunState.FAILED: 5,
    RunState.CANCELED: 5,
}


class RunReason(StrEnum):
    """Why a run ended as it did; UNSPECIFIED while there is nothing to say."""

    UNSPECIFIED = "UNSPECIFIED"
    USER_ERROR = "USER_ERROR"
    INVALID_REQUEST = "INVALID_REQUEST"
    PROCESS_KILLED = "PROCESS_KILLED"
    PROCESS_EXITED = "PROCESS_EXITED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    WORKER_LOST = "WORKER_LOST"
    AGENT_LOST = "AGENT_LOST"
    START_TIMEOUT = "START_TIMEOUT"
    REFUSED_BY_POLICY = "REFUSED_BY_POLICY"
    LOCATION_UNAVAILABLE = "LOCATION_UNAVAILABLE"
    UNSUPPORTED = "UNSUPPORTED"
    CANCELED_BY_REQUEST = "CANCELED_BY_REQUEST"
    CODE_SERVER_STOPPED = "CODE_SERVER_STOPPED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    IMAGE_UNAVAILABLE = "IMAGE_UNAVAILABLE"
    CONTAINER_START_FAILED = "CONTAINER_START_FAILED"
    MAX_RUNTIME = "MAX_RUNTIME"


#: Reasons for which a run is ended that nobody wanted ended: it fails when its process is gone.
TIMEOUTS: Final = frozenset({RunReason.START_TIMEOUT, RunReason.MAX_RUNTIME})
#: Reasons that say what was believed of silence, and not what anybody saw.
BELIEVED: Final = frozenset({RunReason.WORKER_LOST, RunReason.AGENT_LOST})


class AgentState(StrEnum):
    """How an agent fares, as the monitor sees it."""

    NEW = "NEW"
    ONLINE = "ONLINE"
    DRAINING = "DRAINING"
    LOST = "LOST"
    STOPPED = "STOPPED"


class LocationPhase(StrEnum):
    """How a generation of a location fares on one agent."""

    PENDING = "PENDING"
    PULLING = "PULLING"
    STARTING = "STARTING"
    IMPORTING = "IMPORTING"
    SERVING = "SERVING"
    FAILED = "FAILED"
    REMOVED = "REMOVED"
    ASLEEP = "ASLEEP"


class InstructionOutcome(StrEnum):
    """How an instruction ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    UNSUPPORTED = "UNSUPPORTED"


class InstigatorKind(StrEnum):
    """What may start runs by itself."""

    SCHEDULE = "SCHEDULE"
    SENSOR = "SENSOR"


class InstigatorStatus(StrEnum):
    """Whether it does."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class TickStatus(StrEnum):
    """What came of a tick."""

    STARTED = "STARTED"
    SKIPPED = "SKIPPED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class BackfillState(StrEnum):
    """Where a backfill is. Whether it is paused is said beside it."""

    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class BackfillOutcome(StrEnum):
    """What came of one run of a backfill."""

    #: It is yet to be made.
    WAITING = "WAITING"
    #: It may not be made before others succeeded.
    BLOCKED = "BLOCKED"
    UNDER_WAY = "UNDER_WAY"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


#: What of a backfill did not come to what was wanted.
UNMET: Final = (BackfillOutcome.FAILED, BackfillOutcome.CANCELED)
