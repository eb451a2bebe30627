"""Removes what is no longer needed of attempts: entries, tombstones, and the files of runs that ended long ago."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.tombstones import MINIMUM_LIFE_S, Tombstones

log = get_logger(__name__)

#: How often it is looked for entries and tombstones, and for files, seconds.
_INTERVAL_S = 60.0
_FILES_INTERVAL_S = 600.0
#: So many folders are looked at, or the old among them removed, before others have their turn for a moment.
_BATCH = 200
_BATCH_PAUSE_S = 0.02


class Upkeep:
    """Looks once a minute, and for files every ten minutes, beside the event loop."""

    def __init__(
        self,
        *,
        ledger: AttemptLedger,
        tombstones: Tombstones,
        runs_root: Path,
        runs_dir: Callable[[str], Path],
        run_files_kept_s: float,
    ) -> None:
        """Keep the files of ended runs below `runs_root` for `run_files_kept_s` seconds, 0 for ever."""
        self._ledger = ledger
        self._tombstones = tombstones
        self._runs_root = runs_root
        self._runs_dir = runs_dir
        self._run_files_kept_s = run_files_kept_s
        self._files_due_at = 0.0
        self._boundary = Boundary("upkeep")

    async def run(self) -> None:
        """Look until cancelled."""
        await keep_going(self._look_and_rest, name="upkeep")

    async def _look_and_rest(self) -> None:
        await self.look()
        await asyncio.sleep(_INTERVAL_S)

    async def look(self) -> None:
        """Remove what is due; what goes wrong with one kind of it keeps no other from being removed."""
        with self._boundary.guard(kind="entries"):
            await self.forget_done()
        with self._boundary.guard(kind="tombstones"):
            await asyncio.to_thread(self._tombstones.sweep)
        with self._boundary.guard(kind="files"):
            if self._run_files_kept_s and time.monotonic() >= self._files_due_at:
                self._files_due_at = time.monotonic() + _FILES_INTERVAL_S
                await self.remove_old_files()

    async def forget_done(self) -> None:
        """Forget the holders of attempts of which everything is published."""
        folders = {
            holding.key: AttemptFolder.for_run(self._runs_dir(holding.location), holding.key.to_proto())
            for holding in self._ledger.all()
        }
        done = await asyncio.to_thread(lambda: [key for key, folder in folders.items() if folder.is_done])
        for key in done:
            self._ledger.forget(key)

    async def remove_old_files(self) -> int:
        """Remove the files of attempts that ended longer ago than they are kept; return how many attempts.

        Of every location, also of one that is not held any more. A folder is the proof that its attempt was started: it stays
        for as long as a launch may be delivered again, whatever the setting says.
        """
        limit = time.time() - max(self._run_files_kept_s, MINIMUM_LIFE_S)
        held = frozenset(str(holding.key) for holding in self._ledger.all())
        old, removed = old_attempts(self._runs_root, before=limit, held=held), 0
        while batch := await asyncio.to_thread(lambda: list(islice(old, _BATCH))):
            removed += await asyncio.to_thread(remove_attempts, [path for path in batch if path is not None])
            await asyncio.sleep(_BATCH_PAUSE_S)
        if removed:
            log.info("run_files_removed", count=removed)
        return removed


def old_attempts(runs_root: Path, *, before: float, held: frozenset[str]) -> Iterator[Path | None]:
    """Look at every attempt's folder, one at each step, and give those that may go; None for one that stays.

    Args:
        runs_root: Has a folder for each location, and each of these one for each attempt.
        before: Seconds since the epoch; what has changed later stays.
        held: The names of attempts that the agent answers for.
    """
    for location in _entries(runs_root):
        for attempt in _entries(Path(location.path)):
            yield Path(attempt.path) if attempt.name not in held and _is_older(attempt, before=before) else None


def remove_attempts(paths: list[Path]) -> int:
    """Remove folders; return of how many nothing is left. What vanished meanwhile is removed, too."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
    return sum(not os.path.lexists(path) for path in paths)


def _entries(folder: Path) -> "Iterator[os.DirEntry[str]]":
    """Give the folders in a folder as they are read; none of one that is not there, or cannot be looked into."""
    try:
        entries = os.scandir(folder)
    except OSError as error:
        log.debug("folder_passed_over", path=str(folder), error=str(error))
        return
    with entries:
        for entry in entries:
            if _is_folder(entry):
                yield entry


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_older(entry: "os.DirEntry[str]", *, before: float) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_mtime < before
    except OSError:
        # It vanished between two looks, or cannot be looked at.
        return False
