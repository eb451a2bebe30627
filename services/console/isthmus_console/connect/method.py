"""The calls of the API, found in the contract's own descriptors: a new call needs nothing here."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from isthmus.v1 import control_plane_pb2

from isthmus_console.connect.protocol import refused

SERVICE: Final = "isthmus.v1.ControlPlane"
#: How deep messages may stand in each other.
_MOST_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class Method:
    """One call."""

    name: str
    request: type[Message]
    response: type[Message]
    #: Whether it answers with a stream.
    is_streaming: bool

    @property
    def path(self) -> str:
        """Where it is called, over gRPC and over HTTP alike."""
        return f"/{SERVICE}/{self.name}"

    def read(self, body: bytes) -> Message:
        """Read a request, in JSON.

        Raises:
            CallError: It is no JSON, or not of this call's message.
        """
        message = self.request()
        if not body.strip():
            return message
        if not body.lstrip().startswith(b"{"):
            raise refused(f"The request is no {self.request.DESCRIPTOR.name} in JSON: it is no object, as in {{}}.")
        try:
            json_format.Parse(body.decode(), message, max_recursion_depth=_MOST_DEPTH)
        except UnicodeDecodeError as error:
            raise refused(f"The request is not UTF-8: {error}.") from error
        except (json_format.ParseError, RecursionError, ValueError) as error:
            raise refused(f"The request is no {self.request.DESCRIPTOR.name} in JSON: {error}") from error
        return message

    def write(self, message: Message) -> bytes:
        """Write an answer, in JSON."""
        return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()


def _methods() -> Mapping[str, Method]:
    service = control_plane_pb2.DESCRIPTOR.services_by_name["ControlPlane"]
    # Which sides stream is told by the file's own form alone, in every protobuf that is supported.
    raw = FileDescriptorProto.FromString(service.file.serialized_pb)
    streaming = {
        method.name
        for one in raw.service
        if one.name == service.name
        for method in one.method
        if method.server_streaming
    }
    return {
        method.name: Method(
            method.name,
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
            is_streaming=method.name in streaming,
        )
        for method in service.methods
    }


METHODS: Final = _methods()


def near_name(name: str) -> str:
    """Return what to say of a call that there is not."""
    near = get_close_matches(name, METHODS, n=1)
    return f"there is no call {name}" + (f"; did you mean {near[0]}?" if near else ".")
