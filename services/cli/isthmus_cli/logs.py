"""Prints a run's output as it comes: stdout to stdout, stderr to stderr."""

import codecs
import json
import sys
from collections.abc import AsyncIterator, Sequence

from isthmus.v1.telemetry_pb2 import LogChunk, LogStream

from isthmus_cli.errors import InputError

_STREAMS = {"stdout": LogStream.LOG_STREAM_STDOUT, "stderr": LogStream.LOG_STREAM_STDERR}
_NAMES = {stream: name for name, stream in _STREAMS.items()}


def streams_of(name: str | None) -> "Sequence[LogStream.ValueType]":
    """Choose the streams to read.

    Raises:
        InputError: When there is no such stream.
    """
    if name is None:
        return tuple(_STREAMS.values())
    if name not in _STREAMS:
        raise InputError(f"--stream {name} is no stream.", remedy=f"Streams: {', '.join(_STREAMS)}")
    return (_STREAMS[name],)


async def print_logs(chunks: AsyncIterator[LogChunk], *, is_json: bool) -> None:
    """Print chunks in the order in which they come."""
    # A chunk may end within a character: for text, the rest waits for the next chunk of its stream.
    decoders = {stream: codecs.getincrementaldecoder("utf-8")(errors="replace") for stream in _STREAMS.values()}
    async for chunk in chunks:
        if is_json:
            text = decoders[chunk.stream].decode(chunk.data)
            line = {"stream": _NAMES[chunk.stream], "offset": chunk.offset, "text": text}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            continue
        target = sys.stderr if chunk.stream == LogStream.LOG_STREAM_STDERR else sys.stdout
        target.buffer.write(chunk.data)
        target.buffer.flush()
