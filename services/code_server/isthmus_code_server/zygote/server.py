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
    #: How long importing took, seconds.
    import_s: float


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
        start, first = self._begin(order, loaded)
        plan = SparePlan(wanted=order.spares, refills=not order.is_for_one_run)
        Nursery(self._channel, start=start, plan=plan, first=first, orphans=orphans).serve()
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
        chosen = choose(order.start)
        self._tell(definitions, chosen)
        return _Loaded(definitions=definitions, choice=chosen.choice, import_s=import_s)

    def _tell(self, definitions: Definitions, chosen: Chosen) -> None:
        described = DescribeResponse(
            snapshot=definitions.describe(),
            framework=definitions.framework,
            python_version=_python_version(),
        )
        described.snapshot.warnings.extend(chosen.warnings)
        send_frame(self._channel, FrameKind.START, chosen.choice.encode())
        send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))

    def _begin(self, order: LoadOrder, loaded: _Loaded) -> tuple[ChildStart, Spare | None]:
        """Return how children come about and, where it was started to see whether that works, the first of them.

        Calls that come meanwhile wait: they would have to wait for an import in any case.
        """
        forking = self._make_forking(order, loaded.definitions)
        if loaded.choice.method is StartMethod.FORK:
            return forking, None
        spawning = Spawning(order)
        if order.start is StartMethod.SPAWN:
            return spawning, None
        first = try_spawning(spawning, supervisor=self._channel, import_s=loaded.import_s)
        if first is not None:
            return spawning, first
        send_frame(self._channel, FrameKind.START, fallen_back(loaded.choice).encode())
        return forking, None


def _python_version() -> str:
    from platform import python_version

    return python_version()
