"""The zygote's life: it imports the project, chooses how runs get their processes, says so, and keeps its children."""

import gc
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.telemetry_pb2 import Failure

from isthmus_code_server.definitions.port import Definitions, LoadDefinitions
from isthmus_code_server.errors import DefinitionsLoadError
from isthmus_code_server.kernel.family import adopt_orphans, descendants_of
from isthmus_code_server.zygote.channel import receive_frame
from isthmus_code_server.zygote.child import Child
from isthmus_code_server.zygote.forking import Forking
from isthmus_code_server.zygote.nursery import ChildStart, Nursery
from isthmus_code_server.zygote.only_child import OnlyChild, end_like, wait_loaded
from isthmus_code_server.zygote.orphans import Orphans
from isthmus_code_server.zygote.report import report_failed, report_loaded
from isthmus_code_server.zygote.spare import Spare
from isthmus_code_server.zygote.spawning import Spawning
from isthmus_code_server.zygote.starting import Chosen, choose, fallen_back, try_spawning
from isthmus_code_server.zygote.wire import LoadOrder, StartChoice, StartMethod


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    definitions: Definitions
    choice: StartChoice
    #: The first of its children, where it was started to see whether that works.
    first: Spare | None


class Zygote:
    """Serves one supervisor until that closes the channel."""

    def __init__(
        self,
        channel: socket.socket,
        *,
        load: LoadDefinitions,
        describe_failure: Callable[[BaseException], Failure],
    ) -> None:
        """Prepare to serve.

        Args:
            channel: Where the supervisor says what to load, and asks for children.
            load: Imports a project.
            describe_failure: Translates an exception of the definitions' framework.
        """
        self._channel = channel
        self._load = load
        self._describe_failure = describe_failure

    def serve(self) -> int:
        """Load what the supervisor asks for, then start children on demand; returns this process's exit code."""
        try:
            return self._serve()
        except (BrokenPipeError, ConnectionResetError):
            # The supervisor closed the channel while we spoke: nobody is left to serve.
            return 0

    def _serve(self) -> int:
        received = receive_frame(self._channel)
        if received is None:
            return 0
        order = LoadOrder.decode(received[1])
        return self._serve_one_run(order) if order.is_for_one_run else self._serve_runs(order)

    def _serve_runs(self, order: LoadOrder) -> int:
        loaded = self._load_and_tell(order)
        if loaded is None:
            return 1
        # What is alive now lives for ever: the collector of a child must not touch, and so copy, its pages.
        gc.collect()
        gc.freeze()
        if not order.leaves_children:
            adopt_orphans()
        orphans = None if order.leaves_children else Orphans()
        start = self._start_of(order, loaded)
        Nursery(self._channel, start=start, spares=order.spares, first=loaded.first, orphans=orphans).serve()
        return 0

    def _serve_one_run(self, order: LoadOrder) -> int:
        """Have a child import the project and serve the run; after a run that it refused, the next imports it anew."""
        if not order.leaves_children:
            adopt_orphans()
        only = OnlyChild(
            order=order, load=self._load, describe_failure=self._describe_failure, supervisor=self._channel
        ).start()
        if (exit_code := wait_loaded(only)) is not None:
            return end_like(exit_code)
        orphans = None if order.leaves_children else Orphans(spared=descendants_of(only.pid))
        Nursery(self._channel, start=Spawning(order), spares=0, first=only, orphans=orphans).serve()
        return 0

    def _load_and_tell(self, order: LoadOrder) -> _Loaded | None:
        began_at = time.monotonic()
        try:
            definitions = self._load(order.source, Path(order.home))
        except DefinitionsLoadError as error:
            report_failed(self._channel, error)
            return None
        import_s = time.monotonic() - began_at
        chosen, first = self._tried_out(order, choose(order.start), import_s=import_s)
        report_loaded(self._channel, definitions, chosen=chosen)
        return _Loaded(definitions=definitions, choice=chosen.choice, first=first)

    def _tried_out(self, order: LoadOrder, chosen: Chosen, *, import_s: float) -> tuple[Chosen, Spare | None]:
        """Return how children come about in truth and, where it was started to see whether that works, the first of them.

        What is told of the location has to be what happens; and a call could not be served before the first import anyway.
        """
        if chosen.choice.method is StartMethod.FORK or order.start is StartMethod.SPAWN:
            return chosen, None
        first = try_spawning(Spawning(order), supervisor=self._channel, import_s=import_s)
        return (chosen, first) if first is not None else (fallen_back(chosen.choice), None)

    def _start_of(self, order: LoadOrder, loaded: _Loaded) -> ChildStart:
        if loaded.choice.method is StartMethod.SPAWN:
            return Spawning(order)
        child = Child(self._describe_failure)
        return Forking(loaded.definitions, child_main=child.main, leaves_children=order.leaves_children)
