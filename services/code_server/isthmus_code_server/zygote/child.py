"""A forked child's work: it reads one request from its channel, answers it, and for a run goes on to execute it."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import Failure, LogLine
from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_code_server.attempts.cancel_marker import is_cancel_requested
from isthmus_code_server.attempts.death import StepDeaths
from isthmus_code_server.attempts.log_offsets import redirect_to_step
from isthmus_code_server.definitions.evaluation_log import EvaluationLog
from isthmus_code_server.definitions.late import late_event
from isthmus_code_server.definitions.port import Definitions, EvaluationPlace, PreparedRun, RunPlace, SensorTick
from isthmus_code_server.errors import InvalidRequestError
from isthmus_code_server.kernel.process import Ending, flush_output, redirect_output
from isthmus_code_server.kernel.threads import finish
from isthmus_code_server.zygote.channel import receive_frame, send_frame
from isthmus_code_server.zygote.journal_sink import JournalSink
from isthmus_code_server.zygote.spawning import spawn_step
from isthmus_code_server.zygote.wire import LAST_WORD, FrameKind, LoadOrder, StepCall

#: Translates an exception of the definitions' framework.
DescribeFailure = Callable[[BaseException], Failure]
#: How far an evaluation of automation stands back, as nice does it.
_AUTOMATION_NICENESS: Final = 10


class Child:
    """Does what one request asks for."""

    def __init__(self, describe_failure: DescribeFailure, *, spawn_order: LoadOrder | None = None) -> None:
        """Prepare to serve.

        Args:
            describe_failure: Translates an exception of the definitions' framework.
            spawn_order: What the processes of steps are to import, where they must not be forked off the run's.
        """
        self._describe_failure = describe_failure
        self._spawn_order = spawn_order

    def main(self, channel: socket.socket, definitions: Definitions) -> Ending:
        """Serve the request on the channel, or questions one after another; returns how the process is to end."""
        questions: Mapping[FrameKind, Callable[[bytes, Definitions], Message]] = {
            FrameKind.VALIDATE: self._validate,
            FrameKind.SCHEDULE: self._schedule,
            FrameKind.SENSOR: self._sensor,
        }
        while (received := receive_frame(channel)) is not None:  # pauses: until the next question, or there is none
            kind, payload = received
            if kind is FrameKind.START_RUN:
                return self._run(channel, definitions, folder=Path(payload.decode()))
            _answer(channel, questions[kind](payload, definitions))
        return Ending()

    def refuse(self, channel: socket.socket, failure: Failure) -> Ending:
        """Answer the request on the channel with why there are no definitions; returns how the process is to end."""
        received = receive_frame(channel)
        if received is None:
            return Ending()
        answers: Mapping[FrameKind, Message] = {
            FrameKind.START_RUN: pb.StartRunResponse(rejected=pb.RunRejected(failure=failure)),
            FrameKind.VALIDATE: pb.ValidateRunResponse(failure=failure),
            FrameKind.SCHEDULE: pb.EvaluateScheduleResponse(failure=failure),
            FrameKind.SENSOR: pb.EvaluateSensorResponse(failure=failure),
        }
        _answer(channel, answers[received[0]])
        return Ending()

    def step(self, channel: socket.socket, definitions: Definitions, *, call: StepCall) -> None:
        """Execute one step of a run whose process spawned this one."""
        folder = Path(call.folder)
        request = RunRequest.FromString((folder / "request.binpb").read_bytes())
        attempt = AttemptFolder(folder, request.run.run_id, request.run.attempt)
        definitions.prepare(request).execute_step(channel, step=call.step, place=self._place(attempt))

    # ------------------------------------------------------------------------------------------------- questions

    def _validate(self, payload: bytes, definitions: Definitions) -> Message:
        try:
            definitions.prepare(pb.ValidateRunRequest.FromString(payload).request)
        except InvalidRequestError as error:
            return pb.ValidateRunResponse(violations=error.violations)
        except Exception as error:  # noqa: BLE001  # whatever user code raises is the answer
            return pb.ValidateRunResponse(failure=self._describe_failure(error))
        return pb.ValidateRunResponse()

    def _schedule(self, payload: bytes, definitions: Definitions) -> Message:
        request = pb.EvaluateScheduleRequest.FromString(payload)
        log, began_at = EvaluationLog(), time.monotonic()
        try:
            at = request.scheduled_at.ToDatetime(tzinfo=UTC)
            place = EvaluationPlace(location=request.location, take_line=log.take)
            answer = definitions.evaluate_schedule(request.schedule_name, scheduled_at=at, place=place)
            response = pb.EvaluateScheduleResponse(answer=answer)
        except Exception as error:  # noqa: BLE001  # whatever user code raises is the answer
            response = pb.EvaluateScheduleResponse(failure=self._describe_failure(error))
        response.evaluation.CopyFrom(log.evaluation(duration_s=time.monotonic() - began_at))
        return response

    def _sensor(self, payload: bytes, definitions: Definitions) -> Message:
        request = pb.EvaluateSensorRequest.FromString(payload)
        if request.HasField("automation"):
            # Such a child answers nothing else. Runs go before what decides about the next ones.
            os.setpriority(os.PRIO_PROCESS, 0, _AUTOMATION_NICENESS)
        log, began_at = EvaluationLog(), time.monotonic()
        try:
            tick = _sensor_tick(request, take_line=log.take)
            response = pb.EvaluateSensorResponse(answer=definitions.evaluate_sensor(request.sensor_name, tick=tick))
        except Exception as error:  # noqa: BLE001  # whatever user code raises is the answer
            response = pb.EvaluateSensorResponse(failure=self._describe_failure(error))
        response.evaluation.CopyFrom(log.evaluation(duration_s=time.monotonic() - began_at))
        return response

    # ------------------------------------------------------------------------------------------------------- run

    def _run(self, channel: socket.socket, definitions: Definitions, *, folder: Path) -> Ending:
        try:
            request = RunRequest.FromString((folder / "request.binpb").read_bytes())
            attempt = AttemptFolder(folder, request.run.run_id, request.run.attempt)
            redirect_output(stdout=attempt.stdout, stderr=attempt.stderr)
            sink = JournalSink(channel, attempt)
        except (OSError, DecodeError) as error:
            failure = Failure(error_class=type(error).__name__, message=f"The attempt's files cannot be used: {error}")
            _answer(channel, pb.StartRunResponse(rejected=pb.RunRejected(failure=failure)))
            return Ending()
        run = self._prepare(channel, definitions, request)
        if run is None:
            return Ending()
        _answer(channel, pb.StartRunResponse(accepted=pb.RunAccepted(pid=os.getpid())))
        channel.setblocking(False)
        run.execute(sink.take, place=self._place(attempt, written=lambda: sink.written))

        def end_late(report: str) -> None:
            sink.take(late_event(report))
            sink.close()
            flush_output()

        finish(end_late, exit_code=0)
        sink.close()
        # The channel is closed before this process ends.
        return Ending(last_word=partial(_say_last_word, channel.dup()) if sink.has_ended else None)

    def _place(self, attempt: AttemptFolder, *, written: Callable[[], int] = lambda: 0) -> RunPlace:
        order = self._spawn_order
        return RunPlace(
            attempt=attempt.ref,
            written=written,
            is_cancel_requested=lambda: is_cancel_requested(attempt),
            enter_step=lambda step_key: redirect_to_step(attempt, step_key),
            deaths=StepDeaths(),
            spawn_step=partial(spawn_step, order=order, folder=attempt.path) if order is not None else None,
        )

    def _prepare(self, channel: socket.socket, definitions: Definitions, request: RunRequest) -> PreparedRun | None:
        """Check the request and answer a refusal; nothing of the run has started when this returns."""
        try:
            return definitions.prepare(request)
        except InvalidRequestError as error:
            rejected = pb.RunRejected(violations=error.violations)
        except Exception as error:  # noqa: BLE001  # whatever user code raises is the answer
            rejected = pb.RunRejected(failure=self._describe_failure(error))
        _answer(channel, pb.StartRunResponse(rejected=rejected))
        return None


def _answer(channel: socket.socket, message: Message) -> None:
    send_frame(channel, FrameKind.ANSWER, message.SerializeToString())


def _say_last_word(channel: socket.socket) -> None:
    """Say that the run's end is in its journal, and that nothing of the run is left."""
    channel.send(LAST_WORD)


def _sensor_tick(request: pb.EvaluateSensorRequest, *, take_line: Callable[[LogLine], None]) -> SensorTick:
    return SensorTick(
        cursor=request.cursor,
        last_run_key=request.last_run_key,
        last_tick_at=_moment(request.last_tick_at) if request.HasField("last_tick_at") else None,
        last_started_at=_moment(request.last_started_at) if request.HasField("last_started_at") else None,
        automation=request.automation,
        place=EvaluationPlace(location=request.location, take_line=take_line),
    )


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
