"""A channel to a control plane of this test, for tests that speak to the generated stub itself."""

from typing import Any

import grpc
from isthmus_client.discovery import find_token
from isthmus_client.token import METADATA_KEY


def channel_to(address: str) -> grpc.aio.Channel:
    """Open a channel whose calls carry the token that the control plane announced."""
    found = find_token(address)
    assert found is not None
    return grpc.aio.insecure_channel(address, interceptors=[_Unary(found.value), _Stream(found.value)])


def as_it_is(body: bytes) -> bytes:
    """Serialize and deserialize nothing: for calls of which the bytes matter."""
    return body


class _Bearer:
    def __init__(self, token: str) -> None:
        self._header = (METADATA_KEY, f"Bearer {token}")

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=grpc.aio.Metadata(*(details.metadata or ()), self._header))


class _Unary(_Bearer, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._with_token(client_call_details), request)


class _Stream(_Bearer, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._with_token(client_call_details), request)
