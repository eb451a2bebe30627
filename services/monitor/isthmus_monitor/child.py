"""Has another process send what this one is not to load libraries for, and ends it when it takes too long."""

import asyncio
import json
import sys
from typing import Final

from isthmus_monitor.errors import WebhookError
from isthmus_monitor.receiver import Errand

#: Seconds that a process has for one alert, its start included.
TIMEOUT_S: Final = 30.0
#: What it may answer, bytes.
_MOST_ANSWER: Final = 64 * 1024


async def send(errand: Errand, *, timeout_s: float = TIMEOUT_S) -> None:
    """Send an alert once, in a process of its own.

    Raises:
        WebhookError: it was not taken.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "isthmus_monitor.messenger",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # What libraries log may quote addresses.
        stderr=asyncio.subprocess.DEVNULL,
        limit=_MOST_ANSWER,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, _ = await process.communicate(json.dumps(errand.said).encode())
    except TimeoutError as exc:
        raise WebhookError(detail=f"no answer within {timeout_s:.0f} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    problem = _problem(answer, code=process.returncode)
    if problem:
        raise WebhookError(detail=problem)


def _problem(answer: bytes, *, code: int | None) -> str:
    try:
        return str(json.loads(answer)["problem"])
    except (ValueError, KeyError, TypeError):
        return f"the process that was to send it ended with {code}"
