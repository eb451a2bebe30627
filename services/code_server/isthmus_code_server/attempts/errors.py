"""Why an attempt is not started."""

from isthmus_code_server.errors import PermanentCodeServerError, TransientCodeServerError


class AttemptFencedError(PermanentCodeServerError):
    """A later attempt of the run was seen already.

    Attributes:
        run_id: The run.
        attempt: The attempt that was asked for.
        latest: The attempt that fences it off.
    """

    def __init__(self, run_id: str, *, attempt: int, latest: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.latest = latest
        super().__init__(
            f"Attempt {attempt} of run {run_id} is fenced off by attempt {latest}: launch a later attempt instead."
        )


class LateCallError(TransientCodeServerError):
    """The call that should start an attempt came after the moment until which it might: whoever called stood still.

    Attributes:
        run_id: The run.
        attempt: The attempt that was not started.
    """

    def __init__(self, run_id: str, *, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        super().__init__(
            f"The call that starts attempt {attempt} of run {run_id} came too late: nothing was started, call again."
        )


class DedicatedElsewhereError(PermanentCodeServerError):
    """The server takes one run, and has taken another.

    Attributes:
        run_id: The run that it has taken.
        attempt: Its attempt.
    """

    def __init__(self, run_id: str, *, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        super().__init__(f"This server is dedicated to attempt {attempt} of run {run_id}: ask another one.")


class AttemptFilesError(TransientCodeServerError):
    """The files of an attempt cannot be written, so that nothing was started.

    Attributes:
        run_id: The run.
        attempt: Its attempt.
        cause: What the system says, as in "No space left on device".
    """

    def __init__(self, run_id: str, *, attempt: int, cause: str) -> None:
        self.run_id = run_id
        self.attempt = attempt
        self.cause = cause
        super().__init__(
            f"The files of attempt {attempt} of run {run_id} cannot be written ({cause}): make room in the agent's folder."
        )


class AttemptFailedError(PermanentCodeServerError):
    """An attempt could not be started for a reason that nobody foresaw; nothing of it is left.

    Attributes:
        run_id: The run.
        attempt: Its attempt.
    """

    def __init__(self, run_id: str, *, attempt: int) -> None:
        self.run_id = run_id
        self.attempt = attempt
        super().__init__(f"Attempt {attempt} of run {run_id} could not be started: the code server's log says why.")
