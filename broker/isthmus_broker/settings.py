"""How to reach the broker, and how patiently."""

from dataclasses import dataclass, replace

from yarl import URL


@dataclass(frozen=True)
class BrokerSettings:
    """Where the broker is and how its connections behave."""

    #: AMQP address with account and virtual host, as in ``amqp://user:secret@host:5672/vhost``.
    url: str
    #: What the broker's operator sees in the list of connections.
    connection_name: str = "isthmus"
    #: AMQP heartbeat, seconds. A dead peer is noticed after about three of them; below 5 brings false alarms.
    heartbeat_s: int = 10
    #: How long opening a connection may take, seconds.
    connect_timeout_s: float = 10.0
    #: How long a publish may wait for the broker's confirm, seconds.
    publish_timeout_s: float = 10.0
    #: The most that one message's body may have as it is sent, bytes. RabbitMQ 4 takes 16 MiB unless it is told otherwise;
    #: a broker that takes less is heard when it says so.
    max_message_bytes: int = 12 * 1024**2
    #: First wait before another try to connect, seconds; it doubles up to the maximum, and each is jittered.
    reconnect_min_s: float = 0.1
    #: Longest wait between two tries, seconds.
    reconnect_max_s: float = 3.0
    #: Whether the broker is being started on this machine by whoever connects: then nobody is told that it is away until it
    #: has listened once.
    is_starting: bool = False
    #: First pause before an instruction that failed is delivered again, seconds; it doubles up to the maximum. With
    #: `INSTRUCTION_DELIVERY_LIMIT` deliveries the last is some four minutes after the first.
    retry_min_s: float = 0.1
    #: Longest pause before an instruction is delivered again, seconds.
    retry_max_s: float = 15.0
    #: A queue that has brought nothing for so long is consumed anew, where that harms nothing, seconds.
    quiet_s: float = 10.0
    #: A connection missing for longer than this is logged as an error, again and again, seconds.
    watchdog_s: float = 30.0

    @property
    def user(self) -> str:
        """The account that the broker will verify as the sender of our messages."""
        return URL(self.url).user or "guest"

    @property
    def safe_url(self) -> str:
        """The address without the secret, for logs and people."""
        return str(URL(self.url).with_password(None))

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the broker is reached over the loopback interface."""
        return URL(self.url).host in {"localhost", "127.0.0.1", "::1"}

    def named(self, connection_name: str) -> "BrokerSettings":
        """Return the same settings under another connection name."""
        return replace(self, connection_name=connection_name)
