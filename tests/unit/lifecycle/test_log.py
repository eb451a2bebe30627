"""The log never fails whoever writes it."""

import subprocess
import sys
from pathlib import Path

from support.small_disk import small_disk

_SCRIPT = """
import sys
from isthmus_lifecycle import log
log.to_stderr()
logger = log.get_logger("test")
disk = sys.argv[1]
for number in range(200):
    logger.info("a_line", number=number, text="x" * 500)
open(disk + "/filler", "w").truncate(0)
logger.info("the_last_line")
print("lived on")
"""


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="64k") as disk:
        disk.fill(free_pages=2)
        with (disk.path / "log").open("wb") as stderr:
            command = [sys.executable, "-c", _SCRIPT, str(disk.path)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=stderr, text=True)
        assert told.stdout == "lived on\n"
        assert "the_last_line" in (disk.path / "log").read_text()
