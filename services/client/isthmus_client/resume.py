"""Server streams that outlive a broken connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from isthmus.v1.control_plane_pb2 import Run, RunState

from isthmus_client.status import Callee, is_connection_lost, translate

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamCall

_Message = TypeVar("_Message")

#: Seconds for which a lost control plane is looked for before the caller is told.
PATIENCE_S = 120.0
#: Seconds after which a stream counts as having worked, though it said nothing.
_SETTLED_S = 5.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

_ENDED = frozenset({RunState.RUN_STATE_SUCCEEDED, RunState.RUN_STATE_FAILED, RunState.RUN_STATE_CANCELED})


def is_ended(run: Run) -> bool:
    """Tell whether a run's state is final."""
    return run.state in _ENDED


@dataclass
class _Patience:
    """How long the control plane has been gone, and how long to wait before the next try."""

    pause_s: float = _FIRST_PAUSE_S
    lost_since: float | None = None
    opened_at: float = field(default_factory=monotonic)

    def renew(self) -> None:
        self.pause_s, self.lost_since = _FIRST_PAUSE_S, None

    def is_at_end(self) -> bool:
        now = monotonic()
        if now - self.opened_at > _SETTLED_S:
            self.renew()
        self.lost_since = self.lost_since or now
        return now - self.lost_since > PATIENCE_S

    async def wait(self) -> None:
        import random  # with all the hashes that it brings, for the few streams that break

        await asyncio.sleep(self.pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        self.pause_s = min(self.pause_s * 2, _LONGEST_PAUSE_S)
        self.opened_at = monotonic()


async def resumed(
    open_stream: Callable[[], "UnaryStreamCall[Any, _Message]"],
    *,
    is_last: Callable[[_Message], bool] | None,
    method: str,
    callee: Callee,
) -> AsyncIterator[_Message]:
    """Yield a stream's messages, opening it anew when it breaks, with growing pauses.

    Args:
        open_stream: Opens the stream where the last message left off.
        is_last: Whether a stream that ended by itself with this message is complete; otherwise it is opened again. None
            when such a stream is always complete.
        method: Names the call in errors.
        callee: Names the control plane in errors.

    Raises:
        ClientError: When the status is not one of a lost connection, or `PATIENCE_S` passed without one.
    """
    patience = _Patience()
    is_complete = is_last is None
    while True:
        call = open_stream()
        try:
            async for message in call:
                patience.renew()
                is_complete = is_last is None or is_last(message)
                yield message
            if is_complete:
                return
        except grpc.aio.AioRpcError as error:
            if not is_connection_lost(error) or patience.is_at_end():
                raise translate(error, method=method, callee=callee) from error
        finally:
            call.cancel()
        await patience.wait()
