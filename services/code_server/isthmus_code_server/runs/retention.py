"""What is kept of attempts that are over: their logs, and of those the newest."""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isthmus_broker.journal import AttemptFolder, list_attempts

#: How many attempts that are over keep their folder.
KEPT_ATTEMPTS = 200
#: How long a folder is kept at least, seconds: while a launch may be delivered again, it proves that it was started.
KEPT_S = 3600.0


def drop_journal(folder: AttemptFolder) -> None:
    """Delete the journal of an attempt whose events the broker has confirmed; output stays."""
    if folder.is_done:
        folder.journal.unlink(missing_ok=True)


def prune(runs_dir: Path, *, kept: int = KEPT_ATTEMPTS) -> list[AttemptFolder]:
    """Delete the folders of attempts that are over, but for the newest; returns what was deleted.

    A folder is also the proof that its attempt was started: what is younger than `KEPT_S` stays, however many there are.
    """
    done = [folder for folder in list_attempts(runs_dir) if folder.is_done]
    newest_doomed = time.time() - KEPT_S
    doomed = [folder for folder in _oldest(done, kept=kept) if _changed_at(folder) < newest_doomed]
    for folder in doomed:
        shutil.rmtree(folder.path, ignore_errors=True)
    return doomed


def _oldest(folders: Sequence[AttemptFolder], *, kept: int) -> list[AttemptFolder]:
    by_age = sorted(folders, key=_changed_at, reverse=True)
    return by_age[kept:]


def _changed_at(folder: AttemptFolder) -> float:
    # Another server of the location may delete it at the same time.
    with suppress(FileNotFoundError):
        return folder.path.stat().st_mtime
    return 0.0
