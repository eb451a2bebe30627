"""What a check found."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    #: What it takes to look is not installed here.
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    name: str
    level: Level
    text: str
    #: What mends it; empty where nothing has to be.
    remedy: str = ""

    @classmethod
    def ok(cls, name: str, text: str) -> "Finding":
        """All is well."""
        return cls(name, Level.OK, text)

    @classmethod
    def warn(cls, name: str, text: str, *, remedy: str) -> "Finding":
        """It works, and may not for long or not for everything."""
        return cls(name, Level.WARN, text, remedy)

    @classmethod
    def fail(cls, name: str, text: str, *, remedy: str) -> "Finding":
        """It does not work."""
        return cls(name, Level.FAIL, text, remedy)

    @classmethod
    def skipped(cls, name: str, why: str) -> "Finding":
        """Nobody could look."""
        return cls(name, Level.SKIPPED, f"not looked at: {why}")
