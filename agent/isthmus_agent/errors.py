"""The error words of the agent: one root, and below it what may pass by itself apart from what will not."""

from isthmus_broker.errors import TransientBrokerError

from isthmus_agent.failure import FailureNote


class AgentError(Exception):
    """The agent could not do something."""


class TransientAgentError(AgentError):
    """The same call may work later."""


class PermanentAgentError(AgentError):
    """The same call will fail again until somebody changes something."""


class PolicyFileError(PermanentAgentError):
    """The owner's policy cannot be read."""

    def __init__(self, *, path: str, problem: str) -> None:
        """Name the file and what is wrong with it."""
        self.path = path
        super().__init__(f"Policy file {path}: {problem}. Correct the file; without it the agent starts nothing.")


class DataFolderInUseError(PermanentAgentError):
    """Another agent works in the same folder."""

    def __init__(self, *, path: str) -> None:
        """Name the folder."""
        self.path = path
        super().__init__(
            f"Another agent works in {path}. Stop it, or give this one a folder of its own with ISTHMUS_AGENT_DATA_DIR."
        )


class RuntimeFolderError(PermanentAgentError):
    """The folder for sockets is not fit for them."""

    def __init__(self, *, path: str, problem: str) -> None:
        """Name the folder and what is wrong with it."""
        self.path = path
        super().__init__(f"Socket folder {path}: {problem}. Set ISTHMUS_AGENT_RUNTIME_DIR to a short path of your own.")


class ServerFaultError(PermanentAgentError):
    """Something that nobody foresaw went wrong with one code server."""

    def __init__(self, *, server: str, cause: Exception) -> None:
        """Name the server and what happened; the agent's log has all of it."""
        self.server = server
        super().__init__(
            f"Code server {server} could not be kept: {type(cause).__name__}: {cause}. See the agent's log."
        )


class LocationUnavailableError(AgentError):
    """No code server of a location answers."""

    def __init__(
        self,
        *,
        location: str,
        problem: str,
        failure: FailureNote | None = None,
        cause: AgentError | None = None,
    ) -> None:
        """Name the location, and carry the error of its loading where there is one, or that of its server's start."""
        self.location = location
        self.failure = failure
        self.cause = cause
        super().__init__(f"Location {location} does not serve on this agent: {problem}.")


class LocationFaultError(AgentError):
    """Something that nobody foresaw went wrong with one location."""

    def __init__(self, *, location: str, cause: Exception) -> None:
        """Name the location and what happened; the agent's log has all of it."""
        self.location = location
        super().__init__(
            f"Location {location} could not be kept: {type(cause).__name__}: {cause}. It is tried again; see the agent's log."
        )


class LocationRefusedError(PermanentAgentError):
    """The agent owner's policy does not allow a location."""

    def __init__(self, *, location: str, rule: str, problem: str) -> None:
        """Name the location and the rule that it breaks."""
        self.location = location
        self.rule = rule
        super().__init__(f"Location {location} is refused by this agent's policy, rule {rule}: {problem}.")


class DedicatedServerLostError(PermanentAgentError):
    """The code server that was started for a run ended before it could take the run."""

    def __init__(self, *, server: str, how: str, is_out_of_memory: bool, stack: tuple[str, ...]) -> None:
        """Name the server, how it ended, and the last lines that it wrote."""
        self.server = server
        self.is_out_of_memory = is_out_of_memory
        self.stack = stack
        super().__init__(f"Code server {server}, started for this run alone, {how} while it loaded the definitions.")


class RunRefusedError(PermanentAgentError):
    """The agent owner's policy does not allow what a run asks for."""

    def __init__(self, *, rule: str, problem: str) -> None:
        """Name the rule that the run breaks."""
        self.rule = rule
        super().__init__(f"The run is refused by this agent's policy, rule {rule}: {problem}.")


class RunEndedError(PermanentAgentError):
    """A run was ended while its launch waited."""

    def __init__(self, *, run: str) -> None:
        """Name the attempt."""
        self.run = run
        super().__init__(f"Attempt {run} was ended before it was started.")


class IdentityNotHeldError(TransientAgentError, TransientBrokerError):
    """The agent's name is not this process's at this moment: there is no connection, or another process has it."""

    def __init__(self, *, agent: str) -> None:
        """Name the agent."""
        self.agent = agent
        super().__init__(f"This process is not agent {agent} at the broker now; it does nothing in its name.")


class IdentityTakenError(PermanentAgentError):
    """Another process is the agent of this name."""

    def __init__(self, *, agent: str) -> None:
        """Name the agent."""
        self.agent = agent
        super().__init__(
            f"Another process is agent {agent} at the broker. End it, or give this one a name of its own with "
            "`isthmus agent create` and ISTHMUS_AGENT_NAME."
        )


class TooManyQuestionsError(TransientAgentError):
    """A location has been asked as much as it may be at once."""

    def __init__(self, *, location: str) -> None:
        """Name the location."""
        self.location = location
        super().__init__(f"Location {location} has too many questions under way on this agent. Ask again later.")


class FilesError(TransientAgentError):
    """Files could not be written, for want of room as a rule: it is tried again until there is some, or no time left."""


class AgentFolderError(FilesError):
    """The agent's folder could not be written or read."""

    def __init__(self, *, cause: OSError) -> None:
        """Say what the operating system said, and of which file."""
        self.cause = cause
        file = f" ({cause.filename})" if cause.filename else ""
        problem = cause.strerror or type(cause).__name__
        super().__init__(
            f"The agent's folder could not be used: {problem}{file}. Make room on its disk or mend it, then try again."
        )


class LogsNotFoundError(PermanentAgentError):
    """The files of an attempt are not here."""

    def __init__(self, *, run: str) -> None:
        """Name the attempt."""
        self.run = run
        super().__init__(f"The output of run {run} is not on this agent: it ran elsewhere, or its files were removed.")
