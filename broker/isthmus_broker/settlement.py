"""What can become of a delivery."""

from enum import Enum, auto


class Settlement(Enum):
    """The four ends of a delivery; every one gets exactly one."""

    #: Its effect is durable.
    ACK = auto()
    #: Not now: deliver it again.
    RETRY = auto()
    #: Never: keep it aside for the control plane to read.
    DEAD_LETTER = auto()
    #: Nothing is said, and the broker delivers it again when the channel closes: for a process that is stopping.
    RETURN = auto()
