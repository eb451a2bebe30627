"""A canned control plane, and the real command as a process."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.canned import CannedControlPlane, CannedServer, serve


@dataclass(frozen=True)
class Outcome:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Isthmus = Callable[..., Awaitable[Outcome]]


@pytest.fixture
async def canned() -> AsyncIterator[CannedServer]:
    canned = await serve(CannedControlPlane())
    yield canned
    await canned.server.stop(None)


@pytest.fixture
def isthmus(canned: CannedServer, tmp_path: Path) -> Isthmus:
    """The command, in an empty folder, told where the canned control plane is."""

    async def run(*words: str, stdin: str = "", environment: dict[str, str] | None = None) -> Outcome:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "isthmus_cli",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "ISTHMUS_SERVER": canned.address, **(environment or {})},
        )
        out, err = await process.communicate(stdin.encode())
        return Outcome(code=process.returncode or 0, out=out.decode(), err=err.decode())

    return run
