"""Who may call: whoever sends the token, which a file of this process's user holds.

A port on the loopback interface is open to every user of the machine; the file is not. Health and reflection answer without
a token: a probe has none, and what they tell is whether this process serves, and the contract, which is public.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from os import getpid
from typing import Any, TypeAlias

import grpc
from grpc_status import rpc_status
from isthmus_client.announcement import Announcement, announcement_file, own_token_file, servers_folder, sweep
from isthmus_client.token import METADATA_KEY, checked, kept_token
from isthmus_lifecycle.log import get_logger

from isthmus_control_plane.api import status
from isthmus_control_plane.settings import ControlPlaneSettings

log = get_logger(__name__)

_SCHEME = "bearer"

# Text, since the types are generic for the checker alone.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]"


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses every call of the contract that does not carry the token; before one is known, every call."""

    def __init__(self) -> None:
        self._digest = b""
        self._refusal: _Handler = grpc.unary_unary_rpc_method_handler(_refuse)

    def ask_for(self, token: str) -> None:
        """Let in whoever sends this token from now on."""
        self._digest = _digest(token)

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "_Handler | None":
        """Look at the metadata of one call, before its request is read."""
        method = str(handler_call_details.method)
        if method.startswith("/isthmus.") and not self._is_let_in(handler_call_details):
            return self._refusal
        return await continuation(handler_call_details)

    def _is_let_in(self, call: grpc.HandlerCallDetails) -> bool:
        sent = [str(value) for key, value in call.invocation_metadata or () if key == METADATA_KEY]
        if len(sent) != 1:
            return False
        scheme, _, token = sent[0].partition(" ")
        # Of digests, so that neither the length nor the time of the comparison tells anything of the token.
        return hmac.compare_digest(_digest(token.strip()), self._digest) and scheme.lower() == _SCHEME


@contextmanager
def announced_token(settings: ControlPlaneSettings, *, address: str) -> Iterator[str]:
    """Choose the token, make its file where there is none, and announce both to this user's tools.

    Nothing is announced of a token that came without a file: whoever gave it to us gives it to the others, too.

    Raises:
        TokenError: The token is not usable, or its file can be neither read nor made.
    """
    if settings.api_token:
        yield checked(settings.api_token, source="ISTHMUS_API_TOKEN")
        return
    file = settings.api_token_file or own_token_file(address)
    place = announcement_file(address)
    try:
        # Before the token is made: what stands beside no announcement is swept away.
        Announcement(address=address, pid=getpid(), token_file=file.absolute()).write(place)
        sweep(servers_folder(), keeping=place)
    except OSError as error:
        log.warning("not_announced", place=str(place), error=str(error))
    try:
        yield kept_token(file)
    finally:
        with suppress(OSError):
            place.unlink()


async def _refuse(_request: object, context: "grpc.aio.ServicerContext[Any, Any]") -> object:
    await context.abort_with_status(rpc_status.to_status(status.unauthenticated()))
    raise AssertionError


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
