"""The zygote's life: it imports the project, chooses how runs get their processes, says so, and keeps its children."""

import gc
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.code_server_pb2 import DescribeResponse

from isthmus_code_server.definitions.port import Definitions, LoadDefinitions
from isthmus_code_server.errors import DefinitionsLoadError
from isthmus_code_server.kernel.family import adopt_orphans
from isthmus_code_server.zygote.channel import receive_frame, send_frame
from isthmus_code_server.zygote.nursery import ChildStart, Nursery, SparePlan
from isthmus_code_server.zygote.orphans import Orphans
from isthmus_code_server.zygote.spare import Spare
from isthmus_code_server.zygote.spawning import Spawning
from isthmus_code_server.zygote.starting import Chosen, choose, fallen_back, try_spawning
from isthmus_code_server.zygote.wire import FrameKind, LoadOrder, StartChoice, StartMethod

#: Makes what forks children that have these definitions.
MakeForking = Callable[[LoadOrder, Definitions], ChildStart]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    definitions: Definitions
    choice: StartChoice
    #: The first of its children, where it was started to see whether that works.
    first: Spare | None


class Zygote:
    """Serves one supervisor until that closes the channel."""

    def __init__(self, channel: socket.socket, *, load: LoadDefinitions, make_forking: MakeForking) -> None:
        self._channel = channel
        self._load = load
        self._make_forking = make_forking

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
        plan = SparePlan(wanted=order.spares, refills=not order.is_for_one_run)
        Nursery(self._channel, start=start, plan=plan, first=loaded.first, orphans=orphans).serve()
        return 0

    def _load_and_tell(self, order: LoadOrder) -> _Loaded | None:
        began_at = time.monotonic()
        try:
            definitions = self._load(order.source, Path(order.home), is_for_one_run=order.is_for_one_run)
        except DefinitionsLoadError as error:
            described = DescribeResponse(failure=error.failure, python_version=_python_version())
            send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))
            return None
        import_s = time.monotonic() - began_at
        chosen, first = self._tried_out(order, choose(order.start), import_s=import_s)
        self._tell(definitions, chosen)
        return _Loaded(definitions=definitions, choice=chosen.choice, first=first)

    def _tried_out(self, order: LoadOrder, chosen: Chosen, *, import_s: float) -> tuple[Chosen, Spare | None]:
        """Return how children come about in truth and, where it was started to see whether that works, the first of them.

        What is told of the location has to be what happens; and a call could not be served before the first import anyway.
        """
        if chosen.choice.method is StartMethod.FORK or order.start is StartMethod.SPAWN:
            return chosen, None
        first = try_spawning(Spawning(order), supervisor=self._channel, import_s=import_s)
        return (chosen, first) if first is not None else (fallen_back(chosen.choice), None)

    def _tell(self, definitions: Definitions, chosen: Chosen) -> None:
        described = DescribeResponse(
            snapshot=definitions.describe(),
            framework=definitions.framework,
            python_version=_python_version(),
        )
        described.snapshot.warnings.extend(chosen.warnings)
        send_frame(self._channel, FrameKind.START, chosen.choice.encode())
        send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))

    def _start_of(self, order: LoadOrder, loaded: _Loaded) -> ChildStart:
        if loaded.choice.method is StartMethod.FORK:
            return self._make_forking(order, loaded.definitions)
        return Spawning(order)


def _python_version() -> str:
    from platform import python_version

    return python_version()
