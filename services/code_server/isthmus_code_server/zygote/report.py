"""What a code server's supervisor is told once the project is imported, or cannot be."""

import socket
from platform import python_version

from isthmus.v1.code_server_pb2 import DescribeResponse

from isthmus_code_server.definitions.port import Definitions
from isthmus_code_server.errors import DefinitionsLoadError
from isthmus_code_server.zygote.channel import send_frame
from isthmus_code_server.zygote.starting import Chosen
from isthmus_code_server.zygote.wire import FrameKind


def report_loaded(channel: socket.socket, definitions: Definitions, *, chosen: Chosen) -> None:
    """Tell what was imported, and how processes come about.

    Raises:
        OSError: The supervisor is gone.
    """
    described = DescribeResponse(
        snapshot=definitions.describe(), framework=definitions.framework, python_version=python_version()
    )
    described.snapshot.warnings.extend(chosen.warnings)
    send_frame(channel, FrameKind.START, chosen.choice.encode())
    send_frame(channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))


def report_failed(channel: socket.socket, error: DefinitionsLoadError) -> None:
    """Tell why the project cannot be imported.

    Raises:
        OSError: The supervisor is gone.
    """
    described = DescribeResponse(failure=error.failure, python_version=python_version())
    send_frame(channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))
