"""What the groups of calls of the client share: how a call is made, and how errors of it are told."""

from copy import deepcopy
from typing import TYPE_CHECKING, Protocol, TypeVar

import grpc

from isthmus_client.status import Callee, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from isthmus.v1.control_plane_pb2_grpc import ControlPlaneAsyncStub


class _OfDeployment(Protocol):
    deployment: str


_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Meant = TypeVar("_Meant", bound=_OfDeployment)

#: Seconds for a call that the control plane answers by itself.
CALL_DEADLINE_S = 15.0


class Calls:
    """A group of calls over the connection of the client that they are mixed into."""

    _callee: Callee
    _metadata: tuple[tuple[str, str], ...]
    _deployment: str
    _channel: grpc.aio.Channel
    _stub: "ControlPlaneAsyncStub"

    @property
    def is_connected(self) -> bool:
        """Whether the control plane can be heard at this moment."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def _meant(self, request: _Meant) -> _Meant:
        """Copy a request, and fill the client's deployment in where it names none."""
        message = deepcopy(request)
        message.deployment = message.deployment or self._deployment
        return message

    async def _call(
        self,
        method: "Callable[..., Awaitable[_Response]]",
        request: _Request,
        *,
        deadline_s: float = CALL_DEADLINE_S,
    ) -> _Response:
        try:
            return await method(request, timeout=deadline_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            name = type(request).__name__.removesuffix("Request").removesuffix("Query")
            raise translate(error, method=name, callee=self._callee) from error
