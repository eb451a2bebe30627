"""What went wrong, as a fact that travels inside the agent and leaves it as a protobuf `Failure`."""

from dataclasses import dataclass

from isthmus.v1 import telemetry_pb2 as telemetry


@dataclass(frozen=True)
class FailureNote:
    """An error: its class, its message and the lines that explain it, outermost first."""

    error_class: str
    message: str
    stack: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> "FailureNote":
        """Make a note of an error of this agent; its own stack is nobody's business but the agent's log."""
        return cls(error_class=type(error).__name__, message=str(error) or type(error).__name__)

    def to_proto(self) -> telemetry.Failure:
        """Return the note as it is sent."""
        stack = [_sendable(line) for line in self.stack]
        return telemetry.Failure(error_class=_sendable(self.error_class), message=_sendable(self.message), stack=stack)


def _sendable(text: str) -> str:
    """Return a text that UTF-8 can hold: names of files may have bytes in them that are none."""
    return text.encode(errors="backslashreplace").decode()
