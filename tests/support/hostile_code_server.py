# ruff: noqa: N802 - the names of the methods are the contract's
"""A code server at the contract's edge that means harm: odd answers to every call, or none, and odd queries."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.code_server_pb2_grpc import CodeServerServicer, add_CodeServerServicer_to_server
from isthmus.v1.telemetry_pb2 import JobSnapshot, LocationSnapshot, LogChunk

from support.hostile import Hostile, M

Context = grpc.aio.ServicerContext[Any, Any]

_REFUSALS = tuple(code for code in grpc.StatusCode if code is not grpc.StatusCode.OK)
#: The queries of one call.
_QUERIES = 5


@dataclass
class HostileCodeServer(CodeServerServicer):
    """Answers as it likes until it is told to be honest."""

    hostile: Hostile
    #: Whether it says what it defines, whatever else it does.
    is_described: bool = False
    is_honest: bool = False

    async def _odd(self, kind: type[M], context: Context) -> M:
        if self.hostile.chance(0.25):
            await context.abort(self.hostile.one_of(_REFUSALS), self.hostile.text()[:100])
        return self.hostile.message(kind)

    async def Describe(self, request: Message, context: Context) -> pb.DescribeResponse:
        if self.is_described or self.is_honest:
            snapshot = LocationSnapshot(jobs=[JobSnapshot(name="nightly")])
            return pb.DescribeResponse(snapshot=snapshot, framework="dagster 1.13.0", python_version="3.11.7")
        return await self._odd(pb.DescribeResponse, context)

    async def ValidateRun(self, request: Message, context: Context) -> pb.ValidateRunResponse:
        return await self._odd(pb.ValidateRunResponse, context)

    async def StartRun(self, request: Message, context: Context) -> pb.StartRunResponse:
        if self.is_honest:
            return pb.StartRunResponse(accepted=pb.RunAccepted(pid=7))
        return await self._odd(pb.StartRunResponse, context)

    async def CancelRun(self, request: Message, context: Context) -> pb.CancelRunResponse:
        return await self._odd(pb.CancelRunResponse, context)

    async def ListRuns(self, request: Message, context: Context) -> pb.ListRunsResponse:
        return await self._odd(pb.ListRunsResponse, context)

    async def ReadLogs(self, request: Message, context: Context) -> AsyncIterator[LogChunk]:
        yield await self._odd(LogChunk, context)

    async def EvaluateSchedule(self, request: Message, context: Context) -> pb.EvaluateScheduleResponse:
        return await self._odd(pb.EvaluateScheduleResponse, context)

    async def EvaluateSensor(self, request: Message, context: Context) -> pb.EvaluateSensorResponse:
        return await self._odd(pb.EvaluateSensorResponse, context)

    async def Attach(
        self, request_iterator: AsyncIterator[pb.AttachRequest], context: Context
    ) -> AsyncIterator[pb.AttachResponse]:
        for _ in range(_QUERIES):
            yield self.hostile.message(pb.AttachResponse)
        async for _ in request_iterator:
            continue


async def serve(servicer: CodeServerServicer, *, socket: Path) -> grpc.aio.Server:
    """Serve at a unix socket; the caller stops the server."""
    server = grpc.aio.server()
    add_CodeServerServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    return server
