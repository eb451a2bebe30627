"""A time of day that a test sets, for processes that know nothing of it: Debian's libfaketime, loaded before the C library.

What processes measure waits with goes on as ever; only what tells the time of day is shifted. Nothing in the product reads its
clock for the sake of tests, and everything in the process sees the same time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_LIBRARIES = "usr/lib/*/faketime/libfaketime.so.1"


class FaketimeMissingError(Exception):
    """The library is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "libfaketime is not installed, and tests set the clocks of real processes with it: `make test` installs it, "
            "or by hand: apt-get install libfaketime"
        )


@dataclass(frozen=True)
class ShiftedClock:
    """How far ahead of the machine's the clock of some processes is."""

    file: Path

    @classmethod
    def beside(cls, folder: Path) -> "ShiftedClock":
        """Make a clock that shows the machine's time until it is shifted."""
        clock = cls(folder / "clock")
        clock.shift(0)
        return clock

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process finds in its environment whose clock this is to be."""
        library = next(Path("/").glob(_LIBRARIES), None)
        if library is None:
            raise FaketimeMissingError
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def shift(self, seconds: float) -> None:
        """Put the clock so far ahead of the machine's, or behind it."""
        # In one piece: a process may read it at any moment.
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+.3f}\n")
        new.replace(self.file)

    def set(self, at: datetime) -> None:
        """Let the clock show a time, and go on from there."""
        self.shift((at - datetime.now(UTC)).total_seconds())
