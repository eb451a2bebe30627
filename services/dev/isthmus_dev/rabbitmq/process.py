"""A process as the private node holds one: told from a later bearer of its number, awaited on any event loop."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """A process number together with its start time, which a later process of that number cannot share."""

    pid: int
    #: Clock ticks after boot, field 22 of /proc/<pid>/stat.
    started: int

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Read the identity of a living process; None when there is none, or only a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command's name stands in brackets and may itself hold spaces and brackets.
        fields = stat[stat.rindex(")") + 2 :].split()
        return None if fields[0] in {"Z", "X"} else cls(pid=pid, started=int(fields[19]))

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    output: Path,
    setpriv: Sequence[str],
    die_with_parent: signal.Signals,
) -> subprocess.Popen[bytes]:
    """Start a process in its own session, its output appended to a file.

    It gets `die_with_parent` when the calling *thread* ends, so call from a thread that lives as long as the node.
    The kernel forgets that wish when the account changes, hence one `setpriv` for both.
    """
    prefix = ["setpriv", *setpriv, "--pdeathsig", die_with_parent.name.removeprefix("SIG"), "--"]
    with output.open("ab") as sink:
        return subprocess.Popen(
            [*prefix, *command],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


async def wait_gone(pid: int) -> None:
    """Wait until a process, a child or not, has ended; at once if there is none of that number."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


async def stop(identity: ProcessIdentity, *, deadline_s: float) -> None:
    """End a process with SIGTERM, and with SIGKILL after the deadline; returns when it is gone."""
    if not identity.is_alive:
        return
    _signal(identity.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(deadline_s):
            await wait_gone(identity.pid)
    except TimeoutError:
        await kill(identity)


async def kill(identity: ProcessIdentity) -> None:
    """End a process with SIGKILL; returns when it is gone."""
    if identity.is_alive:
        _signal(identity.pid, signal.SIGKILL)
        await wait_gone(identity.pid)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
