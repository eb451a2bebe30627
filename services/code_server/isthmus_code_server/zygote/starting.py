"""Chooses how a project's runs get their processes: forked off the zygote, or each an interpreter of its own."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from isthmus_code_server.kernel.open_ends import connections, has_event_loop, held_processes
from isthmus_code_server.kernel.thread_owners import other_threads
from isthmus_code_server.zygote.fork_safety import Remains, reasons_against
from isthmus_code_server.zygote.probe import hangs_when_forked
from isthmus_code_server.zygote.spare import Spare
from isthmus_code_server.zygote.spawning import Spawning
from isthmus_code_server.zygote.wire import StartChoice, StartMethod

#: How much longer than the zygote's own import that of a first interpreter may take before calls are handed to it all the same.
_PATIENCE_FACTOR = 5
#: The least that it may take, seconds.
_PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """How processes come about, and what the project's author should know of it."""

    choice: StartChoice
    warnings: Sequence[str] = field(default_factory=tuple)


def choose(
    wanted: StartMethod,
    *,
    look: Callable[[], Remains] | None = None,
    try_out: Callable[[], str] = hangs_when_forked,
) -> Chosen:
    """Choose, once the project is imported.

    Args:
        wanted: What the location says.
        look: Finds what importing left running and open.
        try_out: Forks a child that uses what was imported; returns how that failed, or nothing.
    """
    if wanted is StartMethod.SPAWN:
        return Chosen(choice=StartChoice(method=StartMethod.SPAWN, why="the location says `start: spawn`"))
    try:
        remains = (look or remains_of_import)()
        reasons = reasons_against(remains)
    except OSError as error:
        remains, reasons = (
            Remains(),
            [f"what importing the project left running cannot be looked at ({error.strerror})"],
        )
    if wanted is StartMethod.FORK:
        choice = StartChoice(method=StartMethod.FORK, why="the location says `start: fork`")
        return Chosen(choice=choice, warnings=[_forked_all_the_same(reasons)] if reasons else [])
    if not reasons and remains.threads and (failure := try_out()):
        reasons = [f"{failure}, using the libraries that the project imports"]
    if reasons:
        why = "; ".join(reasons)
        return Chosen(choice=StartChoice(method=StartMethod.SPAWN, why=why), warnings=[_spawned(why)])
    return Chosen(
        choice=StartChoice(method=StartMethod.FORK, why="nothing that importing left behind speaks against it")
    )


def remains_of_import() -> Remains:
    """Find what importing the project left running and open in this process."""
    return Remains(
        threads=other_threads(),
        connections=connections(),
        has_event_loop=has_event_loop(),
        processes=held_processes(),
    )


def try_spawning(spawning: Spawning, *, supervisor: socket.socket, import_s: float) -> Spare | None:
    """Start a first interpreter and wait until it has imported the project; None when it cannot.

    Some projects can be imported once at a time only: they listen at a port, or hold a file. Those have to be forked.

    Args:
        spawning: What starts it.
        supervisor: The zygote's own channel: when it is closed, nobody waits any more.
        import_s: How long the zygote itself needed, seconds.
    """
    spare = spawning.start_ahead(inherited=())
    deadline = time.monotonic() + max(_PATIENCE_S, import_s * _PATIENCE_FACTOR)
    poll = select.poll()
    poll.register(spare.channel, select.POLLIN)
    poll.register(supervisor, select.POLLRDHUP)
    events = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    # One that is only slow goes on importing: what is not known to fail is better than a fork that is known to be unsafe.
    if spare.channel.fileno() not in events or (spare.hear() and spare.is_loaded):
        return spare
    spare.channel.close()
    with suppress(ProcessLookupError):
        os.kill(spare.pid, signal.SIGKILL)
    os.waitpid(spare.pid, 0)
    return None


def fallen_back(before: StartChoice) -> Chosen:
    """Return the choice for a project that speaks against forking, and cannot be imported a second time."""
    why = f"the project cannot be imported by two processes at a time, though {before.why}"
    return Chosen(
        choice=StartChoice(method=StartMethod.FORK, why=why),
        warnings=[f"Runs are forked: {why}. A run that waits for a thread that it does not have will wait for ever."],
    )


def _spawned(why: str) -> str:
    return (
        f"Each run is an interpreter of its own that imports the project anew, some of them ahead (`start: spawn`): {why}."
        " A forked process could wait for ever for what it does not have. `start: fork` forks all the same."
    )


def _forked_all_the_same(reasons: Sequence[str]) -> str:
    return (
        f"Runs are forked, as `start: fork` says, though {'; '.join(reasons)}: a run may wait for ever for what it does not"
        " have. Without it, each is an interpreter of its own."
    )
