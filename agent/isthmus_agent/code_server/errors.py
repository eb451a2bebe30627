"""What calls of a code server fail with."""

from isthmus_agent.errors import AgentError, FilesError, PermanentAgentError, TransientAgentError


class CodeServerError(AgentError):
    """A call to a code server failed."""


class CodeServerUnavailableError(CodeServerError, TransientAgentError):
    """The code server does not answer, or broke in the middle of the call; what it did is unknown."""

    def __init__(self, *, server: str, call: str, cause: str) -> None:
        """Name the server and the call."""
        self.server = server
        self.call = call
        super().__init__(f"Code server {server} did not answer {call}: {cause}.")


class LoadTimeoutError(CodeServerUnavailableError):
    """The project was not imported in the time that importing may take."""

    def __init__(self, *, server: str, timeout_s: float) -> None:
        """Name the server and the time."""
        cause = (
            f"the project was not imported within {timeout_s:g} s. If it needs longer, say so: load_timeout_s in the"
            " location's file (isthmus location apply --load-timeout SECONDS), or ISTHMUS_AGENT_LOAD_TIMEOUT_S for all of the"
            " agent's locations"
        )
        super().__init__(server=server, call="Describe", cause=cause)
        self.timeout_s = timeout_s


class CodeServerNotReadyError(CodeServerError, TransientAgentError):
    """The code server has not loaded its definitions."""

    def __init__(self, *, server: str, call: str) -> None:
        """Name the server and the call."""
        self.server = server
        super().__init__(f"Code server {server} took no {call}: its definitions are not loaded.")


class CodeServerRefusedError(CodeServerError, PermanentAgentError):
    """The code server answered with an error of its own."""

    def __init__(self, *, server: str, call: str, cause: str) -> None:
        """Name the server and the call."""
        self.server = server
        super().__init__(f"Code server {server} refused {call}: {cause}.")


class StaleAttemptError(CodeServerError, PermanentAgentError):
    """A later attempt of the run was seen already."""

    def __init__(self, *, server: str, cause: str) -> None:
        """Name the server."""
        self.server = server
        super().__init__(f"Code server {server} has seen a later attempt of this run: {cause}.")


class DedicatedElsewhereError(CodeServerError, PermanentAgentError):
    """The code server takes one run, and has taken another: this one is to be started elsewhere."""

    def __init__(self, *, server: str, cause: str) -> None:
        """Name the server."""
        self.server = server
        super().__init__(f"Code server {server} is dedicated to another run: {cause}.")


class AttemptFilesError(CodeServerError, FilesError):
    """A code server could not write the files of an attempt, so that nothing was started."""

    def __init__(self, *, server: str, cause: str) -> None:
        """Name the server, and give its words."""
        self.server = server
        super().__init__(f"Code server {server} did not start the run: {cause}")
