"""The gRPC server around the service: address, limits, health, reflection, and an orderly end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from isthmus.v1 import control_plane_pb2
from isthmus.v1.control_plane_pb2_grpc import add_ControlPlaneServicer_to_server

from isthmus_control_plane.api.gate import GateInterceptor
from isthmus_control_plane.api.interceptor import ErrorInterceptor, known_error, unexpected_error
from isthmus_control_plane.api.service import ControlPlaneService
from isthmus_control_plane.api.token import TokenInterceptor, announced_token
from isthmus_control_plane.errors import AddressTakenError
from isthmus_control_plane.settings import ControlPlaneSettings

SERVICE = control_plane_pb2.DESCRIPTOR.services_by_name["ControlPlane"].full_name


class ApiServer:
    """A listening API. Made by `serve`."""

    def __init__(self, server: grpc.aio.Server, *, health_service: health.aio.HealthServicer, address: str) -> None:
        self._server = server
        self._health = health_service
        #: Where it listens, as host:port.
        self.address = address

    @classmethod
    @asynccontextmanager
    async def serve(cls, service: ControlPlaneService, *, settings: ControlPlaneSettings) -> AsyncIterator[Self]:
        """Listen, and serve until the block is left; then calls in hand are cut off.

        Raises:
            AddressTakenError: The address cannot be had.
            TokenError: There is no usable token, and no place for one.
        """
        door = TokenInterceptor()
        server = grpc.aio.server(
            # The first is the outermost: what the inner one does not know ends up there.
            interceptors=(
                door,
                ErrorInterceptor(unexpected_error),
                ErrorInterceptor(known_error),
                GateInterceptor(max_streams=settings.max_streams_per_connection),
            ),
            options=(
                # By default two servers could share one port, and answer in turns.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                # Callers may ask idle connections for a sign of life each 10 s, so that watches notice a dead network.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ),
        )
        health_service = health.aio.HealthServicer()
        add_ControlPlaneServicer_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        address = _bind(server, settings.listen)
        with announced_token(settings, address=address) as token:
            door.ask_for(token)
            await server.start()
            api_server = cls(server, health_service=health_service, address=address)
            await api_server.set_serving(is_serving=True)
            try:
                yield api_server
            finally:
                await server.stop(0)

    async def set_serving(self, *, is_serving: bool) -> None:
        """Tell load balancers and probes whether to send calls."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            await self._health.set(name, status)

    async def stop(self, *, grace_s: float) -> None:
        """Take no new calls and wait for those in hand, up to the grace."""
        await self._server.stop(grace_s)


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise AddressTakenError(listen) from error
    if port == 0:
        raise AddressTakenError(listen)
    host, separator, _ = listen.rpartition(":")
    return f"{host}:{port}" if separator and not listen.startswith("unix:") else listen
