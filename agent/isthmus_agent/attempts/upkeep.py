"""Removes what is no longer needed of attempts: entries, tombstones, and the files of runs that ended long ago."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder, list_attempts

from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.tombstones import Tombstones

log = get_logger(__name__)

_INTERVAL_S = 60.0


class Upkeep:
    """Looks once a minute."""

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

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.forget_done()
            await asyncio.to_thread(self._tombstones.sweep)
            if self._run_files_kept_s:
                await asyncio.to_thread(remove_old_attempts, self._runs_root, older_than_s=self._run_files_kept_s)
            await asyncio.sleep(_INTERVAL_S)

    def forget_done(self) -> None:
        """Forget the holders of attempts of which everything is published."""
        for holding in self._ledger.all():
            folder = AttemptFolder.for_run(self._runs_dir(holding.location), holding.key.to_proto())
            if folder.is_done:
                self._ledger.forget(holding.key)


def remove_old_attempts(runs_root: Path, *, older_than_s: float) -> int:
    """Remove the files of attempts that ended, and were published, longer ago than that; return how many."""
    if not runs_root.is_dir():
        return 0
    limit = time.time() - older_than_s
    old = [
        folder
        for runs_dir in runs_root.iterdir()
        for folder in list_attempts(runs_dir)
        if folder.is_done and folder.path.stat().st_mtime < limit
    ]
    for folder in old:
        shutil.rmtree(folder.path, ignore_errors=True)
    if old:
        log.info("run_files_removed", count=len(old))
    return len(old)
