"""The Connect protocol as bytes and words: codes, errors, envelopes, deadlines. Pure."""

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any as Json
from typing import Final

import grpc
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2

JSON: Final = "application/json"
#: The content of a stream: messages in envelopes.
STREAM: Final = "application/connect+json"
#: The most that a request may hold, bytes: what the control plane takes by itself.
MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024
#: The longest deadline that the protocol can state: ten digits of milliseconds.
_DEADLINE_DIGITS: Final = 10

_ENVELOPE = struct.Struct(">BI")
_COMPRESSED = 0b01
#: In the flags of a stream's last envelope, which holds no message.
_END = 0b10

#: What HTTP says for each code, as the protocol has it.
_HTTP: Final = {
    grpc.StatusCode.CANCELLED: ("canceled", 499),
    grpc.StatusCode.UNKNOWN: ("unknown", 500),
    grpc.StatusCode.INVALID_ARGUMENT: ("invalid_argument", 400),
    grpc.StatusCode.DEADLINE_EXCEEDED: ("deadline_exceeded", 504),
    grpc.StatusCode.NOT_FOUND: ("not_found", 404),
    grpc.StatusCode.ALREADY_EXISTS: ("already_exists", 409),
    grpc.StatusCode.PERMISSION_DENIED: ("permission_denied", 403),
    grpc.StatusCode.RESOURCE_EXHAUSTED: ("resource_exhausted", 429),
    grpc.StatusCode.FAILED_PRECONDITION: ("failed_precondition", 400),
    grpc.StatusCode.ABORTED: ("aborted", 409),
    grpc.StatusCode.OUT_OF_RANGE: ("out_of_range", 400),
    grpc.StatusCode.UNIMPLEMENTED: ("unimplemented", 501),
    grpc.StatusCode.INTERNAL: ("internal", 500),
    grpc.StatusCode.UNAVAILABLE: ("unavailable", 503),
    grpc.StatusCode.DATA_LOSS: ("data_loss", 500),
    grpc.StatusCode.UNAUTHENTICATED: ("unauthenticated", 401),
}
#: The kinds of details that the control plane attaches, which JSON shows in their own form.
_DETAILS: Final = {
    one.DESCRIPTOR.full_name: one
    for one in (error_details_pb2.BadRequest, error_details_pb2.ErrorInfo, error_details_pb2.ResourceInfo)
}


class CallError(Exception):
    """A call that failed: what its caller is told."""

    def __init__(
        self, code: grpc.StatusCode, message: str, details: Sequence[Any] = (), *, http_status: int | None = None
    ) -> None:
        """Take what is told.

        Args:
            code: The kind of the failure.
            message: One sentence for people.
            details: What tools can read of it.
            http_status: The number that HTTP says, where it is not that of the code.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self._http_status = http_status

    @property
    def status(self) -> int:
        """The number that HTTP says."""
        return self._http_status or _HTTP[self.code][1]

    def body(self) -> dict[str, Json]:
        """Return the error as the protocol has it."""
        body: dict[str, Json] = {"code": _HTTP[self.code][0], "message": self.message}
        if self.details:
            body["details"] = [_detail(one) for one in self.details]
        return body


def refused(message: str, *, http_status: int | None = None) -> CallError:
    """Return the error of a request that no control plane was asked about."""
    return CallError(grpc.StatusCode.INVALID_ARGUMENT, message, http_status=http_status)


def read_deadline(text: str | None, *, default_s: float | None) -> float | None:
    """Read the header `Connect-Timeout-Ms`; returns seconds, or the default where it is left out.

    Raises:
        CallError: It is no such number.
    """
    if text is None:
        return default_s
    if not (text.isascii() and text.isdecimal() and len(text) <= _DEADLINE_DIGITS):
        raise refused(f"Connect-Timeout-Ms is {text!r}: send milliseconds, as in 5000, or leave it out.")
    return int(text) / 1000


def envelope(body: bytes) -> bytes:
    """Wrap a message of a stream."""
    return _ENVELOPE.pack(0, len(body)) + body


def last_envelope(error: CallError | None) -> bytes:
    """Return the envelope that ends a stream, with why, if it failed."""
    body = json.dumps({"error": error.body()} if error is not None else {}).encode()
    return _ENVELOPE.pack(_END, len(body)) + body


def open_envelope(body: bytes) -> bytes:
    """Return the one message that a call of a stream sends.

    Raises:
        CallError: The body is not one whole envelope.
    """
    if len(body) < _ENVELOPE.size:
        raise refused("The request of a stream is one message in an envelope: five bytes, then JSON.")
    flags, length = _ENVELOPE.unpack_from(body)
    if flags & _COMPRESSED:
        raise CallError(grpc.StatusCode.UNIMPLEMENTED, "Requests are not compressed here: send the message as it is.")
    if flags or len(body) != _ENVELOPE.size + length:
        raise refused(
            f"The envelope says {length} bytes with flags {flags}, and {len(body) - _ENVELOPE.size} follow: "
            "send one message, flags 0, and the length of its JSON in bytes."
        )
    return body[_ENVELOPE.size :]


def _detail(detail: Any) -> dict[str, Json]:
    name = detail.type_url.rpartition("/")[2]
    told: dict[str, Json] = {"type": name, "value": base64.b64encode(detail.value).rstrip(b"=").decode()}
    if name in _DETAILS:
        told["debug"] = json_format.MessageToDict(_DETAILS[name].FromString(detail.value))
    return told
