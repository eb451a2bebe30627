"""FetchLogs: reads an attempt's output, from its code server or, where none answers, from its files."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.journal import AttemptFolder
from isthmus_broker.topology import is_valid_name

from isthmus_agent.errors import CodeServerError, LogsNotFoundError
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.launch import AttemptDesk
from isthmus_agent.instructions.outcome import Failed, Outcome, Succeeded, Violation
from isthmus_agent.locations.held import HeldServer
from isthmus_agent.run_key import RunKey

DEFAULT_MAX_BYTES = 256 * 1024
#: No answer carries more: it is one message at the broker.
LARGEST_MAX_BYTES = 8 * 1024 * 1024
_READ_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Cursor:
    """From where on a stream is wanted."""

    stream: telemetry.LogStream.ValueType
    offset: int


def cursors_of(body: instruction.FetchLogs) -> tuple[Cursor, ...]:
    """Return what is asked for; both streams from their beginnings when nothing is said."""
    if not body.cursors:
        return Cursor(telemetry.LOG_STREAM_STDOUT, 0), Cursor(telemetry.LOG_STREAM_STDERR, 0)
    return tuple(Cursor(cursor.stream, cursor.offset) for cursor in body.cursors)


class LogBudget:
    """Takes chunks until the answer is full."""

    def __init__(self, max_bytes: int) -> None:
        """Take up to `max_bytes`."""
        self._left = max_bytes
        self.chunks: list[telemetry.LogChunk] = []
        self.is_full = False

    def take(self, chunk: telemetry.LogChunk) -> None:
        """Take a chunk, or as much of it as fits."""
        if not chunk.data:
            return
        if len(chunk.data) > self._left:
            self.is_full = True
        data = chunk.data[: self._left]
        self._left -= len(data)
        if data:
            self.chunks.append(telemetry.LogChunk(stream=chunk.stream, offset=chunk.offset, data=data))


class LogHandler:
    """Reads output."""

    def __init__(self, desk: AttemptDesk) -> None:
        """Work with what the handlers of runs share."""
        self._desk = desk

    async def handle(self, body: instruction.FetchLogs, _: Envelope) -> Outcome:
        """Return a piece of the output from the cursors on, as much as the answer may carry."""
        key = RunKey.of(body.run)
        if not key.is_valid or not is_valid_name(body.location):
            return Failed(0, violations=(Violation("run.run_id", "This is no run of this agent."),))
        folder = self._desk.folder(body.location, key)
        if not folder.is_claimed:
            return Failed.of(0, LogsNotFoundError(run=str(key)))
        # Looked at before reading: what was written until the end is then among what is read.
        is_ended = folder.is_done
        max_bytes = min(body.max_bytes or DEFAULT_MAX_BYTES, LARGEST_MAX_BYTES)
        budget = await self._read(body, folder=folder, max_bytes=max_bytes)
        return Succeeded(telemetry.LogAnswer(chunks=budget.chunks, is_complete=is_ended and not budget.is_full))

    async def _read(self, body: instruction.FetchLogs, *, folder: AttemptFolder, max_bytes: int) -> LogBudget:
        cursors = cursors_of(body)
        held = self._server(body)
        if held is not None:
            try:
                return await _read_from_server(held, run=body.run, cursors=cursors, max_bytes=max_bytes)
            except (CodeServerError, LogsNotFoundError):
                # The files are at hand: a server that is busy, or going, need not be waited for.
                return await asyncio.to_thread(read_files, folder, cursors=cursors, max_bytes=max_bytes)
        return await asyncio.to_thread(read_files, folder, cursors=cursors, max_bytes=max_bytes)

    def _server(self, body: instruction.FetchLogs) -> HeldServer | None:
        holding = self._desk.ledger.get(RunKey.of(body.run))
        held = self._desk.registry.find(holding.incarnation) if holding is not None else None
        return held or self._desk.registry.serving_now(body.location)


async def _read_from_server(
    held: HeldServer, *, run: telemetry.RunRef, cursors: Sequence[Cursor], max_bytes: int
) -> LogBudget:
    request = code_server.ReadLogsRequest(run=run)
    for cursor in cursors:
        request.cursors.add(stream=cursor.stream, offset=cursor.offset)
    budget = LogBudget(max_bytes)
    with held.in_use() as client:
        async with aclosing(client.read_logs(request, timeout_s=_READ_TIMEOUT_S)) as chunks:
            async for chunk in chunks:
                budget.take(chunk)
                if budget.is_full:
                    break
    return budget


def read_files(folder: AttemptFolder, *, cursors: Sequence[Cursor], max_bytes: int) -> LogBudget:
    """Read an attempt's output straight from its files; a file that is not there is empty."""
    paths = {telemetry.LOG_STREAM_STDOUT: folder.stdout, telemetry.LOG_STREAM_STDERR: folder.stderr}
    budget = LogBudget(max_bytes)
    for cursor in cursors:
        path = paths.get(cursor.stream)
        if path is None or not path.exists():
            continue
        with path.open("rb") as file:
            file.seek(cursor.offset)
            data = file.read(max_bytes + 1)
        budget.take(telemetry.LogChunk(stream=cursor.stream, offset=cursor.offset, data=data))
    return budget
