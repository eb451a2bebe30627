"""The gRPC server around the service: address, limits, health, and the order in which it stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from isthmus.v1.code_server_pb2_grpc import add_CodeServerServicer_to_server

from isthmus_code_server.errors import ConfigError
from isthmus_code_server.service.interceptor import ErrorInterceptor
from isthmus_code_server.service.servicer import Servicer

SERVICE_NAME = "isthmus.v1.CodeServer"

#: The largest message, bytes, as the agent has it: a snapshot of 20,000 assets has some 60 MB.
MAX_MESSAGE_BYTES = 256 * 1024**2

_OPTIONS = (
    # Two servers on one address must not both believe that they have it.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)

#: How long calls in flight may take when the server stops, seconds.
STOP_GRACE_S = 2.0


class Health:
    """What the standard health service says of us."""

    def __init__(self) -> None:
        self.servicer = health.aio.HealthServicer()

    async def set_serving(self, *, is_serving: bool) -> None:
        """Tell whether requests are welcome, for the service and for the server as a whole."""
        response = health_pb2.HealthCheckResponse
        status = response.SERVING if is_serving else response.NOT_SERVING
        for name in ("", SERVICE_NAME):
            await self.servicer.set(name, status)


@asynccontextmanager
async def listening(servicer: Servicer, *, address: str, health_service: Health) -> AsyncIterator[None]:
    """Listen while the context is entered; leaving ends calls in flight after a grace.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    server = grpc.aio.server(interceptors=(ErrorInterceptor(),), options=_OPTIONS)
    add_CodeServerServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health_service.servicer, server)
    await health_service.set_serving(is_serving=False)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError("listen", remedy=f"{address!r} cannot be listened on, choose a free address") from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(STOP_GRACE_S)
