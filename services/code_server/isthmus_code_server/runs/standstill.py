"""Notices a run that stands still: each of its threads waits for another, and none has done anything for a while."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.telemetry_pb2 import Event, LogMessage

from isthmus_code_server.definitions.clock import now
from isthmus_code_server.kernel.family import descendants_of
from isthmus_code_server.kernel.stillness import Look, leaves_of, look_at, stands_still

#: How long a run must have stood still before that is told, seconds.
STILL_S = 30.0
#: How many looks that takes: each asks the kernel for a few small files.
_LOOKS = 3
_WARNING = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class StandstillRule:
    """When a run is said to stand still, and what may be the cause."""

    after_s: float = STILL_S
    #: Whether the run was forked off the process that imported the project.
    is_forked: bool = True


async def wait_for_standstill(pid: int, *, journal: Path, still_s: float) -> None:
    """Return once a run, with all processes below it, has stood still and told nothing; it may never.

    Args:
        pid: The run's process.
        journal: Where it tells its events.
        still_s: How long it must have stood still, seconds.
    """
    since = 0
    # Not at once: a run that begins does not stand still, and a look would keep a processor from it.
    await asyncio.sleep(still_s / _LOOKS)
    before = await asyncio.to_thread(_look, pid, journal)
    while since < _LOOKS:
        await asyncio.sleep(still_s / _LOOKS)
        found = await asyncio.to_thread(_look, pid, journal)
        since = since + 1 if _is_still(before, found) else 0
        before = found


def standstill_event(*, still_s: float, is_forked: bool) -> Event:
    """Return the warning in the run's log that it stands still, and why that may be.

    Args:
        still_s: How long it has stood still, seconds.
        is_forked: Whether the run was forked off the process that imported the project.
    """
    message = f"The run stands still: for {still_s:g} s each of its threads has waited for another one, or for a lock."
    if is_forked:
        message += (
            " Its process was forked off the one that imported the project, with one thread: what others held or worked on"
            " there nobody gives back here. If that is the cause, `start: spawn` for the location cures it"
            " (isthmus location apply --start spawn)."
        )
    told = LogMessage(level=_WARNING, logger="isthmus", is_standstill=True)
    return Event(occurred_at=now(), message=message, log_message=told)


def _look(pid: int, journal: Path) -> tuple[int, dict[int, Look]]:
    size = 0
    with suppress(OSError):
        size = journal.stat().st_size
    return size, {one: look_at(one) for one in leaves_of({pid, *descendants_of(pid)})}


def _is_still(before: tuple[int, dict[int, Look]], found: tuple[int, dict[int, Look]]) -> bool:
    is_same = before[0] == found[0] and before[1].keys() == found[1].keys()
    return is_same and all(stands_still(before[1][pid], look) for pid, look in found[1].items())
