"""What can go wrong in the code server: transient faults may pass when tried again, permanent ones will not."""

from collections.abc import Sequence

from isthmus.v1.telemetry_pb2 import Failure, FieldViolation


class CodeServerError(Exception):
    """Root of every error that the code server raises on purpose."""


class TransientCodeServerError(CodeServerError):
    """May pass by itself."""


class PermanentCodeServerError(CodeServerError):
    """Will not pass by itself: the request, the configuration or the definitions have to change."""


class ConfigError(PermanentCodeServerError):
    """The server's own configuration cannot be used.

    Attributes:
        field: The field at fault, or the file.
        remedy: What to do now.
    """

    def __init__(self, field: str, *, remedy: str) -> None:
        self.field = field
        self.remedy = remedy
        super().__init__(f"The code server's configuration is not valid at {field}: {remedy}.")


class DefinitionsLoadError(PermanentCodeServerError):
    """The definitions could not be imported.

    Attributes:
        failure: The exception as the user's code raised it, with its whole stack.
    """

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(
            f"The definitions could not be loaded ({failure.error_class}): fix the project and load it again."
        )


class EnvFileError(PermanentCodeServerError):
    """A file of variables cannot be used.

    Attributes:
        path: The file.
        line: The line that is no assignment, from 1; 0 when the file cannot be read at all.
    """

    def __init__(self, path: str, *, line: int = 0, cause: str = "") -> None:
        self.path = path
        self.line = line
        text = (
            f"line {line} of {path} is no assignment: write NAME=value"
            if line
            else f"{path} cannot be read ({cause}): mend or remove it"
        )
        super().__init__(f"The variables cannot be loaded: {text}.")


class InstanceFileError(PermanentCodeServerError):
    """The project's dagster.yaml cannot be used.

    Attributes:
        path: The file.
        problems: What is wrong with it.
    """

    def __init__(self, path: str, *, problems: Sequence[str]) -> None:
        self.path = path
        self.problems = list(problems)
        super().__init__(f"{path} cannot be used: {' '.join(self.problems)} Mend or remove it.")


class DagsterTooOldError(PermanentCodeServerError):
    """The project uses a way of loading that the installed Dagster does not have.

    Attributes:
        feature: What is used.
    """

    def __init__(self, feature: str, *, needs: str, installed: str) -> None:
        self.feature = feature
        super().__init__(
            f"{feature} needs Dagster {needs} or newer, and {installed} is installed beside the code server: upgrade it."
        )


class InvalidRequestError(PermanentCodeServerError):
    """A request does not fit the definitions.

    Attributes:
        violations: Every fault that was found, each with its path into the request.
    """

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        self.violations = tuple(violations)
        fields = ", ".join(violation.field for violation in self.violations)
        super().__init__(f"The request does not fit the definitions at: {fields}. Correct it and send it again.")


class UnknownDefinitionError(PermanentCodeServerError):
    """Something was asked for by a name that the definitions do not hold.

    Attributes:
        kind: "schedule" or "sensor".
        name: The name that was asked for.
    """

    def __init__(self, name: str, *, kind: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(
            f"There is no {kind} named {name!r} in these definitions: ask for one that the snapshot lists."
        )


class UnsupportedInstanceCallError(PermanentCodeServerError):
    """User code asked its Dagster instance for something that nobody answers here.

    Attributes:
        method: The storage's method, as in "RunStorage.get_backfills", or what was asked.
    """

    def __init__(self, method: str, *, why: str = "the control plane does not keep this") -> None:
        self.method = method
        super().__init__(
            f"{method} is not available here: {why}. docs/instance.md lists what can be asked; take what you need as run"
            " config or tags, or read it elsewhere."
        )


class InstanceUnavailableError(TransientCodeServerError):
    """The control plane did not answer what user code asked of its instance.

    Attributes:
        what: What was asked.
        cause: Why there is no answer.
    """

    def __init__(self, what: str, *, cause: str) -> None:
        self.what = what
        self.cause = cause
        super().__init__(
            f"The control plane was asked for {what} and did not answer: {cause}. Nothing is known either way; the step"
            " may be retried once the control plane is back."
        )


class QueryRefusedError(PermanentCodeServerError):
    """The control plane does not answer what user code asked of its instance.

    Attributes:
        what: What was asked.
        cause: Why it is refused.
    """

    def __init__(self, what: str, *, cause: str) -> None:
        self.what = what
        self.cause = cause
        super().__init__(f"The control plane was asked for {what} and refused: {cause}.")


class MalformedRequestError(PermanentCodeServerError):
    """The bytes of a request are no message of the contract."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The bytes are no request of this call: {problem}.")


class OtherLocationError(PermanentCodeServerError):
    """A request is for another location than the one that is served here.

    Attributes:
        asked: The location that the request names.
        served: The location of this server.
    """

    def __init__(self, asked: str, *, served: str) -> None:
        self.asked = asked
        self.served = served
        super().__init__(f"This server serves location {served!r}, not {asked!r}: ask that one's code server.")


class NotLoadedError(TransientCodeServerError):
    """The definitions are not loaded, so nothing can be asked of them.

    Attributes:
        phase: "loading", "failed" or "stopped".
    """

    def __init__(self, phase: str) -> None:
        self.phase = phase
        super().__init__(f"The definitions are not there (phase {phase}): call Describe to learn why.")


class ZygoteLostError(TransientCodeServerError):
    """The process that holds the imported definitions is gone."""

    def __init__(self) -> None:
        super().__init__("The process that holds the definitions is gone: start the code server again.")


class ImportEndedError(PermanentCodeServerError):
    """Importing the project ended the process that imported it.

    Attributes:
        exit_code: What it ended with, if it ended by itself.
        signal: The name of the signal that ended it; empty for none.
    """

    def __init__(self, *, exit_code: int, signal: str = "") -> None:
        self.exit_code = exit_code
        self.signal = signal
        how = f"was ended by {signal}" if signal else f"exited with code {exit_code}"
        cause = "a library that it imports crashed" if signal else "something that it imports calls os._exit"
        super().__init__(
            f"The process that imported the project {how} before the import was done: {cause}. Its last words are in the"
            " code server's log."
        )


class ChildLostError(PermanentCodeServerError):
    """A forked child ended before it answered.

    Attributes:
        question: What it was asked to do.
        exit_code: Its exit code; None when a signal ended it, or when nothing is known.
        signal: The signal that ended it; 0 for none.
    """

    def __init__(self, question: str, *, exit_code: int | None, signal: int) -> None:
        self.question = question
        self.exit_code = exit_code
        self.signal = signal
        how = f"signal {signal}" if signal else f"exit code {exit_code}"
        super().__init__(
            f"The process that was to {question} ended with {how} before it answered: look at the server's log."
        )
