"""Prints a run's output as it comes: stdout to stdout, stderr to stderr, and what is missing marked."""

import codecs
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from isthmus.v1.telemetry_pb2 import LogChunk, LogGap, LogStream

from isthmus_cli.document import dump
from isthmus_cli.errors import InputError
from isthmus_cli.terminal import OutputFilter, terminal_line
from isthmus_cli.view.output import note, print_json

_STREAMS = {"stdout": LogStream.LOG_STREAM_STDOUT, "stderr": LogStream.LOG_STREAM_STDERR}
_NAMES = {stream: name for name, stream in _STREAMS.items()}
_GAPS = {
    LogGap.REASON_REMOVED: "removed",
    LogGap.REASON_TRUNCATED: "truncated",
}

#: One file of a run: its stream, and the step whose own file it is, or none.
_File = tuple[int, str]


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


async def print_logs(chunks: AsyncIterator[LogChunk], *, is_json: bool, has_labels: bool) -> None:
    """Print chunks in the order in which they come.

    Args:
        chunks: The output.
        is_json: One JSON document per chunk instead of the output as it is.
        has_labels: On a terminal, name the step before each line of output that steps wrote side by side.
    """
    printer = _JsonPrinter() if is_json else _TextPrinter(has_labels=has_labels and sys.stdout.isatty())
    async for chunk in chunks:
        if chunk.HasField("gap"):
            printer.gap(chunk)
        else:
            printer.data(chunk)
    printer.end()


@dataclass
class _JsonPrinter:
    #: A chunk may end within a character: the rest waits for the next chunk of its file.
    decoders: "dict[_File, codecs.IncrementalDecoder]" = field(default_factory=dict)

    def data(self, chunk: LogChunk) -> None:
        decoder = self.decoders.get(_file(chunk))
        if decoder is None:
            decoder = self.decoders[_file(chunk)] = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._write(chunk, text=decoder.decode(chunk.data), gap=None)

    def gap(self, chunk: LogChunk) -> None:
        self.decoders.pop(_file(chunk), None)
        told = {"reason": _GAPS.get(chunk.gap.reason, "unknown"), "told_until": chunk.gap.told_until}
        self._write(chunk, text="", gap=told)

    def end(self) -> None:
        """Do nothing: each line was written whole."""

    def _write(self, chunk: LogChunk, *, text: str, gap: dict[str, object] | None) -> None:
        line = {
            "stream": _NAMES.get(chunk.stream, str(chunk.stream)),
            "step_key": chunk.step_key,
            "offset": chunk.offset,
            "text": text,
            "gap": gap,
        }
        print_json(dump(line, is_line=True))


@dataclass
class _TextPrinter:
    has_labels: bool
    #: What steps that write side by side began a line with: whole lines alone are printed.
    begun: dict[_File, bytes] = field(default_factory=dict)
    outlets: "dict[int, _Outlet]" = field(default_factory=dict)

    def data(self, chunk: LogChunk) -> None:
        if not chunk.step_key:
            self._write(chunk.stream, chunk.data)
            return
        whole, newline, rest = (self.begun.pop(_file(chunk), b"") + chunk.data).rpartition(b"\n")
        if rest:
            self.begun[_file(chunk)] = rest
        if newline:
            self._write(chunk.stream, self._labeled(whole, chunk.step_key) + newline)

    def gap(self, chunk: LogChunk) -> None:
        self.begun.pop(_file(chunk), None)
        note(gap_text(chunk))

    def end(self) -> None:
        for (stream, step_key), rest in self.begun.items():
            self._write(stream, self._labeled(rest, step_key))
        for outlet in self.outlets.values():
            outlet.end()

    def _labeled(self, text: bytes, step_key: str) -> bytes:
        if not self.has_labels:
            return text
        label = f"{terminal_line(step_key, is_colored=False)} │ ".encode()
        return label + text.replace(b"\n", b"\n" + label)

    def _write(self, stream: int, data: bytes) -> None:
        outlet = self.outlets.get(stream)
        if outlet is None:
            target = sys.stderr if stream == LogStream.LOG_STREAM_STDERR else sys.stdout
            outlet = self.outlets[stream] = _Outlet(target, OutputFilter() if target.isatty() else None)
        outlet.write(data)


@dataclass
class _Outlet:
    """Where one of a run's streams goes: as it is into a file or a pipe, fit for reading onto a terminal."""

    target: TextIO
    filter: OutputFilter | None

    def write(self, data: bytes) -> None:
        if self.filter is None:
            self.target.buffer.write(data)
            self.target.buffer.flush()
        else:
            self.target.write(self.filter.feed(data))
            self.target.flush()

    def end(self) -> None:
        if self.filter is not None:
            self.target.write(self.filter.feed(b"", is_last=True))
            self.target.flush()


def gap_text(chunk: LogChunk) -> str:
    """Tell what is missing of a file."""
    of_step = f" of step {chunk.step_key}" if chunk.step_key else ""
    place = f"{_NAMES.get(chunk.stream, 'output')}{of_step} after byte {chunk.gap.told_until}"
    if chunk.gap.reason == LogGap.REASON_REMOVED:
        return f"── {place} is gone: the agent removed the files of this run ──"
    return f"── {place} is missing: the file was cut; it goes on from byte {chunk.offset} ──"


def _file(chunk: LogChunk) -> _File:
    return chunk.stream, chunk.step_key
