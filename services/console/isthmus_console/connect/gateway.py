"""Hands calls over HTTP on to the control plane, with the identity that the caller shows, and answers as Connect has it."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Self

import grpc
from google.protobuf.message import Message
from isthmus_client.channel import channel_options
from isthmus_client.status import details_of
from isthmus_client.token import METADATA_KEY
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from isthmus_console.connect.method import METHODS, SERVICE, Method, near_name
from isthmus_console.connect.protocol import (
    JSON,
    MAX_REQUEST_BYTES,
    STREAM,
    CallError,
    envelope,
    last_envelope,
    open_envelope,
    read_deadline,
    refused,
)

#: How long a call may take whose caller says nothing of it, seconds: some ask the user's environment.
DEADLINE_S: Final = 90.0


class Gateway:
    """The API of one control plane over HTTP. Enter it to use it; leaving it ends the calls under way."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=channel_options(address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._channel.close()

    async def serve(self, request: Request) -> Response:
        """Answer one call; what fails is told in the answer."""
        method = METHODS.get(request.path_params["method"])
        if method is None:
            return _refusal(_unknown(request.path_params["method"]))
        try:
            message, deadline_s = await _read(method, request)
        except CallError as error:
            return _refusal(error)
        metadata = _identity(request.headers)
        if method.is_streaming:
            return StreamingResponse(
                self._stream(method, message, metadata=metadata, deadline_s=deadline_s), media_type=STREAM
            )
        return await self._answer(method, message, metadata=metadata, deadline_s=deadline_s)

    async def _answer(
        self, method: Method, message: Message, *, metadata: tuple[tuple[str, str], ...], deadline_s: float | None
    ) -> Response:
        call = self._channel.unary_unary(
            method.path, request_serializer=_serialized, response_deserializer=method.response.FromString
        )
        try:
            answer = await call(message, metadata=metadata, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            return _refusal(error_of(error))
        return Response(method.write(answer), media_type=JSON)

    async def _stream(
        self, method: Method, message: Message, *, metadata: tuple[tuple[str, str], ...], deadline_s: float | None
    ) -> AsyncIterator[bytes]:
        open_call = self._channel.unary_stream(
            method.path, request_serializer=_serialized, response_deserializer=method.response.FromString
        )
        call = open_call(message, metadata=metadata, timeout=deadline_s)
        failure: CallError | None = None
        try:
            async for answer in call:
                yield envelope(method.write(answer))
        except grpc.aio.AioRpcError as error:
            failure = error_of(error)
        finally:
            # Also where the caller has gone: nobody wants to know any more.
            call.cancel()
        yield last_envelope(failure)


def error_of(error: grpc.aio.AioRpcError) -> CallError:
    """Return what is told of a call that the control plane refused, or did not answer."""
    code = error.code()
    return CallError(code, error.details() or code.name, details_of(error))


async def _read(method: Method, request: Request) -> tuple[Message, float | None]:
    """Read what is asked, and how long it may take, seconds.

    Raises:
        CallError: It cannot be asked so.
    """
    _check_headers(request.headers, wanted=STREAM if method.is_streaming else JSON)
    stated = request.headers.get("connect-timeout-ms")
    deadline_s = read_deadline(stated, default_s=None if method.is_streaming else DEADLINE_S)
    body = await _body_of(request)
    return method.read(open_envelope(body) if method.is_streaming else body), deadline_s


def _refusal(error: CallError) -> Response:
    return JSONResponse(error.body(), status_code=error.status)


def _unknown(name: str) -> CallError:
    return CallError(grpc.StatusCode.UNIMPLEMENTED, f"{SERVICE}: {near_name(name)}", http_status=404)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _identity(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return as whom the control plane is asked: the caller, and never the console."""
    shown = headers.get(METADATA_KEY)
    return ((METADATA_KEY, shown),) if shown is not None else ()


def _check_headers(headers: Mapping[str, str], *, wanted: str) -> None:
    sent = headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != wanted:
        raise refused(f"Content-Type is {sent or 'missing'}: this call takes {wanted}.", http_status=415)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise CallError(grpc.StatusCode.UNIMPLEMENTED, "Requests are not compressed here: send the body as it is.")
    version = headers.get("connect-protocol-version", "1")
    if version != "1":
        raise refused(f"Connect-Protocol-Version is {version}: this server speaks 1.")


async def _body_of(request: Request) -> bytes:
    """Read the body.

    Raises:
        CallError: It is too large, or its sender has gone.
    """
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_REQUEST_BYTES:
                raise CallError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"A request holds {MAX_REQUEST_BYTES // 1024**2} MiB at the most.",
                    http_status=413,
                )
    except ClientDisconnect as error:
        raise CallError(grpc.StatusCode.CANCELLED, "The caller has gone.") from error
    return bytes(body)
