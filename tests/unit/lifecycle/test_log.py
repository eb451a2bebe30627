"""The log never fails whoever writes it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
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


_NOISY = """
import asyncio, logging, sys, threading, warnings
from isthmus_lifecycle.service import run_service

class Fault(Exception):
    pass

async def serve(*, stop, started):
    logging.getLogger("library").error("it broke: %s", "here")
    logging.getLogger("library").error("two %s", 1, 2)
    warnings.warn("soon gone", UserWarning)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    class Unruly:
        def __del__(self):
            raise RuntimeError("too late")
    Unruly()
    raise {error}

run_service(serve, name="isthmus-noisy", faults=(Fault,))
"""


@pytest.mark.parametrize(
    ("error", "code", "event"),
    [("Fault('mend me')", 78, "service_cannot_run"), ("ValueError('nobody foresaw it')", 1, "died_of_an_error")],
)
def test_a_services_log_is_json_to_the_last_line_whatever_ends_it(error: str, code: int, event: str) -> None:
    script = _NOISY.replace("{error}", error)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "it broke: here"
    assert any("soon gone" in one for one in events)
    assert {"error_ignored", "died_of_an_error"} <= set(events)
    assert events[-1] == event
    assert error.partition("'")[2].rstrip("')") in done.stderr.splitlines()[-1]
