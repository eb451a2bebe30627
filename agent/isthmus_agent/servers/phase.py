"""How far a code server has come."""

from enum import Enum, auto


class ServerPhase(Enum):
    """How far a code server has come."""

    #: Its process starts, or imports the definitions.
    LOADING = auto()
    #: It answers.
    READY = auto()
    #: It could not load, or died. It never answers again.
    BROKEN = auto()
