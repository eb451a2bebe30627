"""What is told while it happens: a run's history, its output, and what the definitions say of a request."""

from collections.abc import Callable
from uuid import uuid4

import grpc
import pytest
from integration.control_plane_stand import control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.instruction_pb2 import Instruction, LogCursor
from isthmus_store.signal import Started, Succeeded

Result = telemetry_pb2.InstructionResult


def step(name: str, seq: int) -> telemetry_pb2.Event:
    return telemetry_pb2.Event(seq=seq, step_key=name, step_started=telemetry_pb2.StepStarted())


async def test_a_watch_tells_the_history_then_what_happens_and_ends_with_the_run(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        updates = stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id))
        first = await updates.read()
        assert (first.position, first.run.state) == (0, api.RUN_STATE_DISPATCHED)
        assert [(await updates.read()).position for _ in range(2)] == [1, 2]
        await stand.record(run_id, step("load", 1), signal=Started(attempt=1))
        assert (await updates.read()).event.step_key == "load"
        assert (await updates.read()).run.state == api.RUN_STATE_RUNNING
        await stand.record(run_id, step("save", 2), signal=Succeeded(attempt=1))
        assert (await updates.read()).position == 4
        last = await updates.read()
        assert (last.run.state, last.run.last_position) == (api.RUN_STATE_SUCCEEDED, 4)
        assert await updates.read() is grpc.aio.EOF


async def test_a_watch_goes_on_after_the_position_that_the_caller_has(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        news = [step(f"s{seq}", seq) for seq in range(1, 1201)]
        await stand.record(run_id, *news, signal=Succeeded(attempt=1))
        updates = [it async for it in stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id, after_position=3))]
        assert [it.position for it in updates] == [0, *range(4, 1203), 0]
        assert updates[-1].run.state == api.RUN_STATE_SUCCEEDED
        over = [it async for it in stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id, after_position=1202))]
        assert [it.run.state for it in over] == [api.RUN_STATE_SUCCEEDED]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id, after_position=1203)).read()
        assert violations_of(refused.value) == {"after_position": "the run's history ends at 1202"}


async def test_an_event_that_this_release_does_not_know_is_told_byte_by_byte(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        # Field 3000, which no release has yet.
        unknown = telemetry_pb2.Event.FromString(step("later", 1).SerializeToString() + b"\xc2\xbb\x01\x03new")
        await stand.record(run_id, unknown, signal=Succeeded(attempt=1))
        updates = [it async for it in stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id, after_position=2))]
        assert updates[1].event.SerializeToString() == unknown.SerializeToString()


async def test_a_run_that_does_not_exist_is_not_found(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        missing = str(uuid4())
        calls = [
            stand.stub.WatchRun(api.WatchRunRequest(run_id=missing)).read(),
            stand.stub.StreamLogs(api.StreamLogsRequest(run_id=missing)).read(),
            stand.stub.GetRun(api.GetRunRequest(run_id=missing)),
            stand.stub.TerminateRun(api.TerminateRunRequest(run_id=missing)),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def output(
    written: dict[telemetry_pb2.LogStream.ValueType, bytes], *, is_complete: bool
) -> Callable[[Instruction], Result]:
    def answer(question: Instruction) -> Result:
        chunks = [
            telemetry_pb2.LogChunk(stream=it.stream, offset=it.offset, data=written[it.stream][it.offset :][:4])
            for it in question.fetch_logs.cursors
            if written.get(it.stream, b"")[it.offset :]
        ]
        logs = telemetry_pb2.LogAnswer(chunks=chunks, is_complete=is_complete and not chunks)
        return Result(outcome=Result.OUTCOME_SUCCEEDED, logs=logs)

    return answer


async def test_output_is_streamed_from_the_cursors_to_its_end(broker_url: str, database_url: str) -> None:
    written = {telemetry_pb2.LOG_STREAM_STDOUT: b"hello world", telemetry_pb2.LOG_STREAM_STDERR: b"oops"}
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        async with stand.answering(output(written, is_complete=True)):
            text = dict.fromkeys(written, b"")
            async for chunk in stand.stub.StreamLogs(api.StreamLogsRequest(run_id=run_id)):
                assert chunk.offset == len(text[chunk.stream])
                text[chunk.stream] += chunk.data
            assert text == written
            cursors = [LogCursor(stream=telemetry_pb2.LOG_STREAM_STDOUT, offset=6)]
            request = api.StreamLogsRequest(run_id=run_id, cursors=cursors)
            assert b"".join([it.data async for it in stand.stub.StreamLogs(request)]) == b"world"


async def test_following_ends_when_the_run_has_ended_and_all_was_told(broker_url: str, database_url: str) -> None:
    written = {telemetry_pb2.LOG_STREAM_STDOUT: b"one"}
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        async with stand.answering(output(written, is_complete=True)):
            chunks = stand.stub.StreamLogs(api.StreamLogsRequest(run_id=run_id, follow=True))
            assert (await chunks.read()).data == b"one"
            written[telemetry_pb2.LOG_STREAM_STDOUT] += b"two"
            assert (await chunks.read()).data == b"two"
            await stand.record(run_id, step("end", 1), signal=Succeeded(attempt=1))
            assert await chunks.read() is grpc.aio.EOF


async def test_the_definitions_are_asked_about_a_request(broker_url: str, database_url: str) -> None:
    def answer(question: Instruction) -> Result:
        config = question.validate_run.request.run_config_json
        faults = [telemetry_pb2.FieldViolation(field="run_config.ops", description="unknown")] if config else []
        outcome = Result.OUTCOME_FAILED if faults else Result.OUTCOME_SUCCEEDED
        return Result(outcome=outcome, violations=faults)

    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        async with stand.answering(answer):
            request = api.LaunchRunRequest(location="sales", job_name="nightly")
            assert not (await stand.stub.ValidateRun(request)).violations
            request.run_config_json = "{}"
            assert [it.field for it in (await stand.stub.ValidateRun(request)).violations] == ["run_config.ops"]
            request.job_name = "nihgtly"
            known = (await stand.stub.ValidateRun(request)).violations
            assert [(it.field, it.description) for it in known] == [
                ("job_name", "unknown job 'nihgtly'; did you mean 'nightly'?")
            ]


async def test_a_question_without_anyone_to_answer_says_why_and_a_silent_agent_costs_no_more_than_the_deadline(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url, validate_timeout_s=0.3) as stand:
        await stand.create_agent()
        await stand.apply()
        request = api.LaunchRunRequest(location="sales", job_name="nightly")
        with pytest.raises(grpc.aio.AioRpcError) as nobody:
            await stand.stub.ValidateRun(request)
        assert nobody.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "no agent of pool default is online" in str(nobody.value.details())
        await stand.hear()
        await stand.report()
        with pytest.raises(grpc.aio.AioRpcError) as silent:
            await stand.stub.ValidateRun(request)
        assert silent.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_answer_from_another_account_than_the_agents_is_not_believed(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url, validate_timeout_s=1.0) as stand:
        await stand.stub.CreateAgent(api.CreateAgentRequest(name="alpha", broker_user="somebody-else"))
        await stand.apply()
        await stand.hear()
        await stand.report()
        async with stand.answering(lambda _: Result(outcome=Result.OUTCOME_SUCCEEDED)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stand.stub.ValidateRun(api.LaunchRunRequest(location="sales", job_name="nightly"))
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_agent_that_does_not_know_the_question_says_so(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        await stand.record(run_id, step("a", 1), signal=Started(attempt=1))
        async with stand.answering(lambda _: Result(outcome=Result.OUTCOME_UNSUPPORTED)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stand.stub.StreamLogs(api.StreamLogsRequest(run_id=run_id)).read()
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
