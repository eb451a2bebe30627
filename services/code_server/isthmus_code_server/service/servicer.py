"""The CodeServer service, method by method."""

# ruff: noqa: N802  # the names are the contract's

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.code_server_pb2_grpc import CodeServerServicer
from isthmus.v1.telemetry_pb2 import LogChunk, RunRef
from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_code_server.errors import ChildLostError, OtherLocationError
from isthmus_code_server.runs.instance_gate import InstanceGate
from isthmus_code_server.runs.output import stream_output
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.zygote.wire import FrameKind

#: The longest id of a run, bytes: it names a folder, together with the attempt's number.
MAX_RUN_ID_BYTES = 200
#: What cannot be a part of a file's name.
_NO_NAME = frozenset("/\0")

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Servicer(CodeServerServicer):
    """Answers for one location's definitions and runs."""

    supervisor: Supervisor
    gate: InstanceGate
    #: The location that is served: requests that name another one are refused.
    location: str

    async def Describe(self, request: pb.DescribeRequest, context: _Context) -> pb.DescribeResponse:
        """Wait until the definitions are loaded, or failed to load."""
        del request, context
        return await self.supervisor.zygote.described()

    async def ValidateRun(self, request: pb.ValidateRunRequest, context: _Context) -> pb.ValidateRunResponse:
        """Check a request against the definitions and start nothing."""
        del context
        self._check_location(request.request.location)
        answer = await self.supervisor.ask(FrameKind.VALIDATE, request, question="validate the run")
        return pb.ValidateRunResponse.FromString(answer)

    async def StartRun(self, request: pb.StartRunRequest, context: _Context) -> pb.StartRunResponse:
        """Start an attempt, once."""
        self._check_location(request.request.location)
        if not _is_usable(request.request.run):
            text = f"run.run_id is empty, holds a slash, or is longer than {MAX_RUN_ID_BYTES} bytes: give an id."
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        # By hand: protobuf's own reading refuses moments that no calendar has.
        latest_ns = request.not_after.seconds * 1_000_000_000 + request.not_after.nanos
        is_late = request.HasField("not_after") and time.time_ns() > latest_ns
        return await self.supervisor.start(request.request, is_late=is_late)

    async def CancelRun(self, request: pb.CancelRunRequest, context: _Context) -> pb.CancelRunResponse:
        """End an attempt and return when its process is gone."""
        del context
        was_running = await self.supervisor.cancel(request.run, grace_s=request.grace_s)
        return pb.CancelRunResponse(was_not_running=not was_running)

    async def ListRuns(self, request: pb.ListRunsRequest, context: _Context) -> pb.ListRunsResponse:
        """List the attempts that live."""
        del request, context
        return pb.ListRunsResponse(runs=self.supervisor.active_runs())

    async def ReadLogs(self, request: pb.ReadLogsRequest, context: _Context) -> AsyncIterator[LogChunk]:
        """Give the output of an attempt."""
        folder = AttemptFolder.for_run(self.supervisor.runs_dir, request.run)
        if not _is_usable(request.run) or not folder.is_claimed:
            text = f"There is no output of attempt {request.run.attempt} of run {request.run.run_id} here."
            await context.abort(grpc.StatusCode.NOT_FOUND, text)
        async for chunk in stream_output(
            folder,
            cursors=list(request.cursors),
            is_live=lambda: self.supervisor.is_live(folder),
            follow=request.follow,
        ):
            yield chunk

    async def EvaluateSchedule(
        self, request: pb.EvaluateScheduleRequest, context: _Context
    ) -> pb.EvaluateScheduleResponse:
        """Ask a schedule what to run."""
        del context
        self._check_location(request.location)
        request.location = self.location
        try:
            answer = await self.supervisor.evaluations.ask(
                FrameKind.SCHEDULE, request, question="evaluate the schedule"
            )
        except ChildLostError as error:
            response = pb.EvaluateScheduleResponse()
            _describe(response.failure, error)
            return response
        return pb.EvaluateScheduleResponse.FromString(answer)

    async def EvaluateSensor(self, request: pb.EvaluateSensorRequest, context: _Context) -> pb.EvaluateSensorResponse:
        """Ask a sensor what to run."""
        del context
        self._check_location(request.location)
        request.location = self.location
        supervisor = self.supervisor
        pool = supervisor.automations if request.HasField("automation") else supervisor.evaluations
        try:
            answer = await pool.ask(FrameKind.SENSOR, request, question="evaluate the sensor")
        except ChildLostError as error:
            response = pb.EvaluateSensorResponse()
            _describe(response.failure, error)
            return response
        return pb.EvaluateSensorResponse.FromString(answer)

    async def Attach(
        self, request_iterator: AsyncIterator[pb.AttachRequest], context: _Context
    ) -> AsyncIterator[pb.AttachResponse]:
        """Hand the agent what is asked of the instance, and take its answers, for as long as it wants."""
        del context
        async for response in self.gate.attach(request_iterator):
            yield response

    def _check_location(self, asked: str) -> None:
        # Agents of the first releases name none.
        if asked and asked != self.location:
            raise OtherLocationError(asked, served=self.location)


def _is_usable(run: RunRef) -> bool:
    """Tell whether an attempt can have a folder of its own among the others."""
    return 0 < len(run.run_id.encode()) <= MAX_RUN_ID_BYTES and not _NO_NAME & set(run.run_id)


def _describe(failure: Any, error: ChildLostError) -> None:
    failure.error_class = type(error).__name__
    failure.message = str(error)
