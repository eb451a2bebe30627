"""The pulse that health checks look at."""

import asyncio
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from isthmus_lifecycle import pulse
from structlog.testing import capture_logs
from support.eventually import eventually

RECIPE = Path(__file__).resolve().parents[3] / "images/services.Dockerfile"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(pulse.VARIABLE, str(tmp_path / "pulse"))
    return tmp_path / "pulse"


def checked(file: Path) -> tuple[int, str]:
    """Run the images' health check."""
    found = re.search(r"^HEALTHCHECK [^\n]*\n  CMD ([^\n]*)$", RECIPE.read_text(), flags=re.MULTILINE)
    assert found
    environment = {**os.environ, pulse.VARIABLE: str(file)}
    done = subprocess.run(["sh", "-c", found[1]], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


async def test_a_pulse_begins_when_the_service_has_started_and_ends_with_it(file: Path) -> None:
    started = asyncio.Event()
    with pulse.beating(started, beat_s=0.01):
        await asyncio.sleep(0)
        assert not file.exists()
        assert checked(file) == (1, "no sign of life for 20 s\n")
        started.set()
        await eventually(file.exists, within=10)
        assert checked(file) == (0, "")
        first = file.stat().st_mtime_ns
        await eventually(lambda: file.stat().st_mtime_ns > first, within=10)
    assert not file.exists()


async def test_a_pulse_that_cannot_be_written_is_told_of_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "later" / "pulse"
    monkeypatch.setenv(pulse.VARIABLE, str(file))
    started = asyncio.Event()
    started.set()
    with capture_logs() as told, pulse.beating(started, beat_s=0.001):
        await eventually(lambda: told, within=10)
        file.parent.mkdir()
        await eventually(file.exists, within=10)
    assert [(line["event"], line["file"]) for line in told] == [("pulse_not_written", str(file))]
    assert not file.exists()


def test_an_old_pulse_is_none(file: Path) -> None:
    file.touch()
    half_a_minute_ago = time.time() - 30
    os.utime(file, (half_a_minute_ago, half_a_minute_ago))
    assert checked(file) == (1, "no sign of life for 20 s\n")


async def test_without_a_name_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pulse.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    started = asyncio.Event()
    started.set()
    with pulse.beating(started, beat_s=0.001):
        await asyncio.sleep(0.01)
    assert not list(tmp_path.iterdir())
