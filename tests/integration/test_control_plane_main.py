"""The command isthmus-control-plane as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.eventually import patiently


@asynccontextmanager
async def command(**environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isthmus_control_plane.main",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def read_until(process: asyncio.subprocess.Process, word: str) -> str:
    assert process.stderr is not None
    async with patiently(40):
        while line := (await process.stderr.readline()).decode():
            if word in line:
                return line
    raise AssertionError(f"the process ended without a word of {word}")


async def test_without_settings_it_says_what_to_set(tmp_path: Path) -> None:
    async with command() as process:
        _, told = await process.communicate()
        assert process.returncode == 78
        assert b"ISTHMUS_BROKER_URL is not set" in told
        assert b"Traceback" not in told


async def test_a_taken_port_ends_it_with_a_word(broker_url: str, tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    settings = {
        "ISTHMUS_BROKER_URL": broker_url,
        "ISTHMUS_DATABASE_URL": f"sqlite:///{tmp_path}/isthmus.db",
        "ISTHMUS_CONTROL_PLANE_LISTEN": f"127.0.0.1:{port}",
    }
    async with taken, command(**settings) as process:
        _, told = await process.communicate()
        assert process.returncode == 78
        # JSON to the last line: gRPC's core, which complains of the port too, writes nothing of its own.
        lines = [json.loads(line) for line in told.splitlines()]
        assert f"cannot listen on 127.0.0.1:{port}" in lines[-1]["problem"]


async def test_sigterm_ends_it_in_order(broker_url: str, tmp_path: Path) -> None:
    settings = {
        "ISTHMUS_BROKER_URL": broker_url,
        "ISTHMUS_DATABASE_URL": f"sqlite:///{tmp_path}/isthmus.db",
        "ISTHMUS_CONTROL_PLANE_LISTEN": "127.0.0.1:0",
    }
    async with command(**settings) as process:
        await read_until(process, "control_plane_started")
        process.send_signal(signal.SIGTERM)
        await read_until(process, "control_plane_stopped")
        assert await process.wait() == 0
