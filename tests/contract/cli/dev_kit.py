"""`isthmus dev` as a process of a test."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from isthmus_dev.descendant import descendants
from support.eventually import PATIENCE, eventually, patiently

DEFINITIONS = """
import os

import dagster as dg

IS_DEVELOPED = os.environ.get("DAGSTER_IS_DEV_CLI")

@dg.op
def greet():
    print("hello from the run")
    print("developed:", IS_DEVELOPED)

@dg.job(executor_def=dg.in_process_executor)
def greeting():
    greet()

defs = dg.Definitions(jobs=[greeting])
"""


@dataclass
class Dev:
    """A running `isthmus dev`."""

    process: asyncio.subprocess.Process
    folder: Path

    async def read_until(self, text: str, *, within: float = 90) -> str:
        """Read what it prints up to the line with a text."""
        assert self.process.stdout is not None
        seen = ""
        async with patiently(within):
            while text not in seen:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"it ended without saying {text!r}:\n{seen}"
                seen += line
        return seen

    async def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Signal it; returns its exit code. Nothing that it started may be left."""
        family = descendants(self.process.pid)
        assert family
        self.process.send_signal(how)
        code = await asyncio.wait_for(self.process.wait(), 30 * PATIENCE)
        await eventually(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()], within=5)
        return code


def environment() -> dict[str, str]:
    """A terminal in which no environment is active, and nothing is said to Isthmus."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ISTHMUS_") and name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}
    }


@asynccontextmanager
async def running_dev(
    folder: Path,
    *words: str,
    target: Sequence[str] = ("-f", "definitions.py"),
    additional: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Dev]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus_cli", "dev", *target, "--port", "0", *words),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**environment(), **additional},
    )
    try:
        yield Dev(process, folder)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()


async def isthmus(
    folder: Path, *words: str, additional: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus_cli", *words),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment(), **additional},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
