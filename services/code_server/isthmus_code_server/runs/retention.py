"""What is kept of attempts that are over: their logs, and of those the newest."""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isthmus_spool.attempt_folder import AttemptFolder, list_attempts

#: How many attempts that are over keep their folder.
KEPT_ATTEMPTS = 200
#: How long a folder is kept in any case, seconds: far longer than a launch may be redelivered.
KEPT_S = 3600.0


def drop_journal(folder: AttemptFolder) -> None:
    """Delete the journal of an attempt whose events the broker has confirmed; output stays."""
    if folder.is_done:
        folder.journal.unlink(missing_ok=True)


def prune(runs_dir: Path, *, kept: int = KEPT_ATTEMPTS, kept_s: float = KEPT_S) -> list[AttemptFolder]:
    """Delete the folders of attempts that are over, but for the newest and the young; returns what was deleted.

    A folder is also the proof that its attempt was started: without it a launch that is delivered once more would
    start the attempt again.

    Args:
        runs_dir: Where the folders lie.
        kept: How many of the newest stay.
        kept_s: Up to which age all stay, seconds.
    """
    aged = [(_changed_at(folder), folder) for folder in list_attempts(runs_dir) if folder.is_done]
    doomed = _doomed(aged, kept=kept, before=time.time() - kept_s)
    for folder in doomed:
        shutil.rmtree(folder.path, ignore_errors=True)
    return doomed


def _doomed(aged: Sequence[tuple[float, AttemptFolder]], *, kept: int, before: float) -> list[AttemptFolder]:
    newest_first = sorted(aged, key=lambda one: one[0], reverse=True)
    return [folder for changed_at, folder in newest_first[kept:] if changed_at < before]


def _changed_at(folder: AttemptFolder) -> float:
    # Another server of the location may delete it at the same time.
    with suppress(FileNotFoundError):
        return folder.path.stat().st_mtime
    return 0.0
