"""The name of an attempt, which is also the name of its files."""

import re
from dataclasses import dataclass

from isthmus.v1 import telemetry_pb2 as telemetry

#: Run ids are parts of file names: nothing that leads out of a folder.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
#: The contract counts attempts so far.
_MOST_ATTEMPTS = 2**32 - 1


@dataclass(frozen=True, order=True)
class RunKey:
    """An attempt of a run."""

    run_id: str
    attempt: int

    @classmethod
    def of(cls, run: telemetry.RunRef) -> "RunKey":
        """Read the contract's form."""
        return cls(run.run_id, run.attempt)

    @property
    def is_valid(self) -> bool:
        """Whether it can be the name of files, and be told."""
        return _RUN_ID.fullmatch(self.run_id) is not None and 0 <= self.attempt <= _MOST_ATTEMPTS

    def to_proto(self) -> telemetry.RunRef:
        """Return the contract's form."""
        return telemetry.RunRef(run_id=self.run_id, attempt=self.attempt)

    def __str__(self) -> str:
        return f"{self.run_id}.{self.attempt}"
