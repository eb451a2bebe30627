"""The pulse that health checks look at."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from isthmus_lifecycle import pulse
from structlog.testing import capture_logs
from support.eventually import eventually


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(pulse.VARIABLE, str(tmp_path / "pulse"))
    return tmp_path / "pulse"


async def test_a_pulse_begins_when_the_service_has_started_and_ends_with_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = asyncio.Event()
    with pulse.beating(started, beat_s=0.01):
        await asyncio.sleep(0)
        assert pulse.main() == 1
        assert "not started yet" in capsys.readouterr().out
        started.set()
        await eventually(file.exists, within=10)
        assert pulse.main() == 0
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


def test_an_old_pulse_is_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.touch()
    an_hour_ago = time.time() - 3600
    os.utime(file, (an_hour_ago, an_hour_ago))
    assert pulse.main() == 1
    assert "3600 s old" in capsys.readouterr().out


async def test_without_a_file_there_is_no_pulse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(pulse.VARIABLE, raising=False)
    with pulse.beating(asyncio.Event()):
        assert pulse.main() == 1
    assert pulse.VARIABLE in capsys.readouterr().out
