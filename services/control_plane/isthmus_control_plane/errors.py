"""Everything that can go wrong in the control plane: one root, transient and permanent apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus_control_plane.key import DEFAULT


@dataclass(frozen=True)
class Violation:
    """One fault of a request.

    Attributes:
        field: A path into the request, as in ``settings.env.PATH``.
        description: What is wrong with it and what to do about it.
    """

    field: str
    description: str


class ControlPlaneError(Exception):
    """Root of this package's errors.

    Attributes:
        remedy: What a person does now, in words of the command line; may be empty.
    """

    remedy: str = ""


class TransientControlPlaneError(ControlPlaneError):
    """The same call may succeed later."""


class PermanentControlPlaneError(ControlPlaneError):
    """The same call fails again until somebody changes something."""


class LocationUnavailableError(TransientControlPlaneError):
    """No agent can answer for the location at this moment."""

    def __init__(self, location: str, *, why: str) -> None:
        super().__init__(f"nobody answers for location {location!r}: {why}.")
        self.location = location
        self.remedy = f"Look at it: isthmus location show {location}"


class AnswerTimeoutError(TransientControlPlaneError):
    """An agent was asked and stayed silent."""

    def __init__(self, agent: str, *, timeout_s: float) -> None:
        super().__init__(f"agent {agent!r} did not answer within {timeout_s:g} s.")
        self.agent = agent
        self.timeout_s = timeout_s
        self.remedy = f"Try again, or look at the agent: isthmus agent show {agent}"


class BrokerAwayError(TransientControlPlaneError):
    """The call needs the broker, and the broker does not answer."""

    def __init__(self, action: str, *, cause: str) -> None:
        super().__init__(f"cannot {action} while RabbitMQ does not answer ({cause}). Call again once it does.")
        self.action = action


class StoppingError(TransientControlPlaneError):
    """A stream is cut because this process stops."""

    def __init__(self) -> None:
        super().__init__("the control plane stops; call again, and go on where this stream ended")


class TooManyQueriesError(TransientControlPlaneError):
    """An agent asks more at once than it may."""

    def __init__(self, *, most: int) -> None:
        super().__init__(f"{most} queries of this agent are under way, and that is the most; ask again a little later")
        self.most = most


class TooManyStreamsError(TransientControlPlaneError):
    """A connection holds more streams than it may."""

    def __init__(self, *, most: int) -> None:
        super().__init__(
            f"this connection has {most} streams open, and that is the most. End some, or open another connection; "
            "ISTHMUS_CONTROL_PLANE_MAX_STREAMS_PER_CONNECTION sets the number."
        )
        self.most = most


class InvalidRequestError(PermanentControlPlaneError):
    """The request breaks the contract: every fault is listed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        lines = "; ".join(f"{violation.field}: {violation.description}" for violation in violations[:5])
        more = f" (and {len(violations) - 5} more)" if len(violations) > 5 else ""  # noqa: PLR2004 - as many as shown
        super().__init__(f"the request is not valid: {lines}{more}")
        self.violations = tuple(violations)


class NotFoundError(PermanentControlPlaneError):
    """What the request names does not exist."""

    def __init__(self, kind: str, *, name: str, deployment: str, hint: str = "", remedy: str = "") -> None:
        # A deployment that nobody had to choose would only be one word more.
        where = "" if deployment == DEFAULT else f" in deployment {deployment!r}"
        super().__init__(f"there is no {kind} {name!r}{where}{'; ' if hint else '.'}{hint}")
        self.kind = kind
        self.name = name
        self.remedy = remedy


class ConflictError(PermanentControlPlaneError):
    """The name is taken by something else."""

    def __init__(self, kind: str, *, name: str, why: str) -> None:
        super().__init__(f"{kind} {name!r} exists already and is another one: {why}")
        self.kind = kind
        self.name = name


class PreconditionError(PermanentControlPlaneError):
    """The thing exists, but not in a state that allows the call."""

    def __init__(self, subject: str, *, rule: str, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.subject = subject
        self.rule = rule
        self.remedy = remedy


class UnsupportedByAgentError(PermanentControlPlaneError):
    """The agent is older than the question."""

    def __init__(self, agent: str, *, question: str) -> None:
        super().__init__(f"agent {agent!r} does not know the question {question!r}. Upgrade the agent.")
        self.agent = agent


class AddressTakenError(PermanentControlPlaneError):
    """The API cannot listen where it was told to."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"cannot listen on {address}: the port is taken, or the address is not of this machine. Stop the other "
            "process, or choose another address in ISTHMUS_CONTROL_PLANE_LISTEN (port 0 takes any free one)."
        )
        self.address = address
