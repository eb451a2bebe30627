"""What can be learnt about a run: the inputs of `transition`. Each but CancelRequested speaks of one attempt."""

from dataclasses import dataclass

from isthmus_store.record.run import Violation
from isthmus_store.state import RunReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatched:
    """The control plane gave the attempt to an agent."""

    attempt: int
    agent: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A code server took the attempt (the launch's result)."""

    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """The attempt's process said that it runs."""

    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """The attempt's own last word: all went well."""

    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The attempt's last word, its own or its code server's: it failed. `failure` is a Failure message."""

    attempt: int
    reason: RunReason
    message: str = ""
    failure: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Canceled:
    """The attempt's last word: it was told to end, and its process is gone."""

    attempt: int
    reason: RunReason = RunReason.CANCELED_BY_REQUEST
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelRequested:
    """Someone wants the run to end, whichever attempt it is at."""

    requested_by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedOut:
    """The attempt takes longer than it may, to begin or in all: it is to be ended."""

    attempt: int
    reason: RunReason
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRunning:
    """The agent answered a termination: the attempt is not there."""

    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchRefused:
    """The launch failed and nothing was started. `failure` is a Failure message."""

    attempt: int
    reason: RunReason
    message: str = ""
    failure: bytes = b""
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchExpired:
    """Nobody took the launch before its deadline: nothing was started."""

    attempt: int
    message: str = "No agent took the launch before its deadline."


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseExpired:
    """The agent is heard, and neither it nor a code server vouches for the attempt any more."""

    attempt: int
    message: str = "Nobody vouches for the run any more: its code server is gone."


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentGone:
    """The agent has been silent for so long that its runs are given up."""

    attempt: int
    message: str = "The run's agent fell silent and did not come back."


AttemptSignal = (
    Dispatched
    | Accepted
    | Started
    | Succeeded
    | Failed
    | Canceled
    | NotRunning
    | TimedOut
    | LaunchRefused
    | LaunchExpired
    | LeaseExpired
    | AgentGone
)
RunSignal = AttemptSignal | CancelRequested
