"""Why a private RabbitMQ node cannot serve."""

from isthmus_dev.errors import DevError


class NodeError(DevError):
    """A private RabbitMQ node cannot do what it was asked."""


class NodeNotInstalledError(NodeError):
    """A program that the node needs is not on this machine."""

    def __init__(self, *, program: str) -> None:
        """Name the program."""
        self.program = program
        super().__init__(
            f"{program} is not installed, so no private RabbitMQ node can be started. Install RabbitMQ (on Debian and "
            "Ubuntu: apt-get install rabbitmq-server), or use a broker of your own: ISTHMUS_BROKER_URL=amqp://user:password@host:5672/."
        )


class NodeBusyError(NodeError):
    """Another living process uses the data folder."""

    def __init__(self, *, data_dir: str, owner_pid: int | None) -> None:
        """Name the folder and, where known, its owner."""
        self.data_dir = data_dir
        self.owner_pid = owner_pid
        owner = f"process {owner_pid}" if owner_pid else "another process"
        super().__init__(
            f"The RabbitMQ data folder {data_dir} is in use by {owner}. Stop that one, or take another folder."
        )


class NodeStartError(NodeError):
    """The node ended, or did not answer, before it was ready."""

    def __init__(self, *, problem: str, log: str, tail: str) -> None:
        """Say what happened, where the log is, and quote its end."""
        self.problem = problem
        self.tail = tail
        super().__init__(f"RabbitMQ did not start: {problem}. Its log is {log}, and ends with:\n{tail}")


class NodeCommandError(NodeError):
    """A rabbitmqctl command failed."""

    def __init__(self, *, command: str, output: str) -> None:
        """Name the command and quote what it said."""
        self.command = command
        self.output = output
        super().__init__(f"rabbitmqctl {command} failed: {output}")

    @property
    def is_still_starting(self) -> bool:
        """Whether the node is not there yet: the same command may work in a moment."""
        return "requires the 'rabbit' app to be running" in self.output
