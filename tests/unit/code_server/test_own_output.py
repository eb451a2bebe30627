"""What a code server's processes write beside runs: bounded, and never without its end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from isthmus_code_server.kernel.cut_file import cut_beginning
from isthmus_code_server.service.own_output import OwnOutput
from support.eventually import eventually
from support.small_disk import small_disk


@pytest.fixture(params=["the usual file system", "one in memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "the usual file system":
        yield tmp_path
        return
    with small_disk(tmp_path / "disk", size="8m") as disk:
        yield disk.path


def appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def lines(path: Path) -> list[int]:
    # The first was cut in the middle.
    return [int(line) for line in path.read_bytes().splitlines()[1:]]


def test_the_end_is_kept_and_goes_on(folder: Path) -> None:
    path = folder / "output"
    fd = appending(path)
    for number in range(20_000):
        os.write(fd, f"{number:09d}\n".encode())
    cut_beginning(fd, kept_bytes=50_000)
    os.write(fd, b"000020000\n")
    os.close(fd)
    assert 50_000 <= path.stat().st_size < 60_000
    assert lines(path) == list(range(lines(path)[0], 20_001))


def test_a_small_file_is_left_alone(folder: Path) -> None:
    path = folder / "output"
    fd = appending(path)
    os.write(fd, b"0\n1\n")
    cut_beginning(fd, kept_bytes=50_000)
    os.close(fd)
    assert path.read_bytes() == b"0\n1\n"


async def test_it_stays_bounded_while_others_write_and_they_notice_nothing(folder: Path) -> None:
    path = folder / "output"
    fd = appending(path)
    # It rests now and then, so that a look comes in between however busy the machine is.
    writer = (
        "import time\nfor number in range(300_000):\n    print(f'{number:09d}', flush=number % 50 == 0)\n"
        "    number % 5_000 or time.sleep(0.02)"
    )
    bounding = OwnOutput(fd=fd, most_bytes=200_000, kept_bytes=100_000, look_interval_s=0.005)
    largest = 0

    def is_bounded() -> bool:
        nonlocal largest
        largest = max(largest, path.stat().st_size)
        return writing.returncode is not None

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bounding.run())
        writing = await asyncio.create_subprocess_exec(sys.executable, "-c", writer, stdout=fd)
        waiting = tasks.create_task(writing.wait())
        await eventually(is_bounded, within=60)
        assert await waiting == 0
        await eventually(lambda: not bounding.is_too_large, within=10)
        running.cancel()
    os.close(fd)
    assert largest < 2_500_000
    assert lines(path)[-1] == 299_999


@pytest.mark.parametrize("is_pipe", [True, False])
def test_what_is_no_file_that_is_appended_to_is_left_alone(*, tmp_path: Path, is_pipe: bool) -> None:
    if is_pipe:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            assert process.stdin is not None
            assert not OwnOutput(fd=process.stdin.fileno(), most_bytes=-1).is_too_large
        return
    with (tmp_path / "output").open("wb") as file:
        assert not OwnOutput(fd=file.fileno(), most_bytes=-1).is_too_large
