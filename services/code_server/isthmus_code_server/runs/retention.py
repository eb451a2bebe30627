"""What is kept of attempts that are over: their logs, and of those the newest."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from isthmus_broker.journal import AttemptFolder, list_attempts

#: How many attempts that are over keep their folder.
KEPT_ATTEMPTS = 200


def drop_journal(folder: AttemptFolder) -> None:
    """Delete the journal of an attempt whose events the broker has confirmed; output stays."""
    if folder.is_done:
        folder.journal.unlink(missing_ok=True)


def prune(runs_dir: Path, *, kept: int = KEPT_ATTEMPTS) -> list[AttemptFolder]:
    """Delete the folders of attempts that are over, but for the newest; returns what was deleted.

    A folder is also the proof that its attempt was started: the newest are kept for that, too.
    """
    done = [folder for folder in list_attempts(runs_dir) if folder.is_done]
    doomed = _oldest(done, kept=kept)
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
