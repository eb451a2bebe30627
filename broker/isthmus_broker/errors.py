"""The error words of this room: one root, and below it what may pass by itself apart from what will not."""


class BrokerError(Exception):
    """Something between this process and the broker went wrong."""


class TransientBrokerError(BrokerError):
    """The same call may work later."""


class BrokerUnavailableError(TransientBrokerError):
    """There is no connection to the broker now; nothing was sent."""

    def __init__(self, *, purpose: str) -> None:
        """Name the connection that is missing."""
        self.purpose = purpose
        super().__init__(f"No connection to the broker for {purpose}; it is being re-established.")


class PublishUnknownError(TransientBrokerError):
    """The broker did not confirm: the message may be stored or not, so it must be sent again and told apart there."""

    def __init__(self, *, routing_key: str, cause: str) -> None:
        """Name the message by its routing key."""
        self.routing_key = routing_key
        super().__init__(f"The broker did not confirm a message to {routing_key!r} ({cause}); it may be stored or not.")


class QueueFullError(TransientBrokerError):
    """A queue is full and refused the message; it was not stored there."""

    def __init__(self, *, routing_key: str) -> None:
        """Name the message by its routing key."""
        self.routing_key = routing_key
        super().__init__(f"The broker refused a message to {routing_key!r}: a queue behind it is full.")


class PermanentBrokerError(BrokerError):
    """The same call will fail again until somebody changes something."""


class PublishRefusedError(PermanentBrokerError):
    """The message is larger than the broker takes: it was not sent, or was sent and will never be taken."""

    def __init__(self, *, routing_key: str, size: int, limit: int) -> None:
        """Name the message by its routing key; sizes are those of its body as it is sent, bytes."""
        self.routing_key = routing_key
        self.size = size
        self.limit = limit
        super().__init__(f"A message to {routing_key!r} has {size} bytes, and the broker takes {limit} at the most.")


class UnroutableError(PermanentBrokerError):
    """No queue takes the message."""

    def __init__(self, *, exchange: str, routing_key: str) -> None:
        """Name where the message should have gone."""
        self.exchange = exchange
        self.routing_key = routing_key
        super().__init__(f"No queue takes messages to {routing_key!r} from exchange {exchange!r}.")


class MalformedMessageError(PermanentBrokerError):
    """The bytes are not what the channel carries."""

    def __init__(self, *, expected: str, problem: str) -> None:
        """Say what was expected, and what is wrong with what came."""
        self.expected = expected
        self.problem = problem
        super().__init__(f"Expected {expected}, but {problem}.")


class TopologyError(PermanentBrokerError):
    """The broker does not allow the topology that this system needs."""

    def __init__(self, *, what: str, problem: str, remedy: str) -> None:
        """Say what could not be declared, why, and what the operator can do."""
        self.what = what
        self.remedy = remedy
        super().__init__(f"Cannot declare {what}: {problem} {remedy}")
