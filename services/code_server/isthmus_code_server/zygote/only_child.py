"""The only child of a zygote that serves one run: it is forked before the project is imported, and imports it itself.

So nothing has to be fit for a fork, whatever importing leaves running, and the project is imported once.
"""

import gc
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from isthmus.v1.telemetry_pb2 import Failure

from isthmus_code_server.definitions.port import LoadDefinitions
from isthmus_code_server.errors import DefinitionsLoadError
from isthmus_code_server.kernel.family import adopt_orphans
from isthmus_code_server.kernel.open_ends import exclusive_claims
from isthmus_code_server.kernel.process import Ending
from isthmus_code_server.zygote.child import Child
from isthmus_code_server.zygote.forking import fork_child
from isthmus_code_server.zygote.report import report_failed, report_loaded
from isthmus_code_server.zygote.spare import Spare, wait_for_channel
from isthmus_code_server.zygote.starting import Chosen, choose, fallen_back
from isthmus_code_server.zygote.wire import LoadOrder, StartMethod


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlyChild:
    """Imports a project, tells the supervisor what came of it, and waits for the run."""

    order: LoadOrder
    load: LoadDefinitions
    #: Translates an exception of the definitions' framework.
    describe_failure: Callable[[BaseException], Failure]
    #: Where the zygote speaks to the supervisor; until it has imported the project, its child does so in its place.
    supervisor: socket.socket

    def start(self) -> Spare:
        """Fork the child; it says that it is ready once the supervisor was told that the project is imported."""
        ours, theirs = socket.socketpair()
        with theirs:
            return Spare(pid=fork_child(lambda: self._serve(theirs), inherited=(ours,)), channel=ours)

    def _serve(self, starter: socket.socket) -> Ending:
        if not self.order.leaves_children:
            adopt_orphans()
        with self.supervisor:
            try:
                definitions = self.load(self.order.source, Path(self.order.home), is_for_one_run=True)
            except DefinitionsLoadError as error:
                report_failed(self.supervisor, error)
                return Ending(exit_code=1)
            chosen = self._choose()
            report_loaded(self.supervisor, definitions, chosen=chosen)
        # What is alive now lives as long as the run: neither its collector nor that of its steps need look through it.
        gc.collect()
        gc.freeze()
        with starter:
            channel = wait_for_channel(starter, when_idle=definitions.warm_up)
        if channel is None:
            return Ending()
        is_spawning = chosen.choice.method is StartMethod.SPAWN
        with channel:
            child = Child(self.describe_failure, spawn_order=self.order if is_spawning else None)
            return child.main(channel, definitions)

    def _choose(self) -> Chosen:
        """Choose how the run's steps get their processes: this one holds the project for as long as they live."""
        chosen = choose(self.order.start)
        is_found_out = self.order.start is StartMethod.AUTO and chosen.choice.method is StartMethod.SPAWN
        chosen = fallen_back(chosen.choice) if is_found_out and exclusive_claims() else chosen
        # What is to be said of the project is said by the server that describes it.
        return replace(chosen, warnings=())


def wait_loaded(spare: Spare) -> int | None:
    """Wait until the child is ready; returns None then, and its exit code or the negated signal if it ended before."""
    poll = select.poll()
    poll.register(spare.channel, select.POLLIN)
    poll.poll()
    if spare.hear():
        return None
    spare.channel.close()
    return os.waitstatus_to_exitcode(os.waitpid(spare.pid, 0)[1])


def end_like(exit_code: int) -> int:
    """Return the exit code for a zygote whose child ended with this one; does not return where a signal ended it."""
    if exit_code < 0:
        number = signal.Signals(-exit_code)
        if number is not signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return exit_code
