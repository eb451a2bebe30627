"""Output of a run as it is written: waited for, told by step, and marked where it is missing."""

import os
import time
from pathlib import Path
from textwrap import dedent

import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run
from isthmus.v1.instruction_pb2 import FetchLogs, LogCursor
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_SERVING,
    LOG_STREAM_STDOUT,
    InstructionResult,
    LogGap,
    RunRef,
)
from support.eventually import eventually

pytestmark = pytest.mark.timeout(120)

PROJECT = dedent(
    """
    import os, time
    from pathlib import Path
    from dagster import Definitions, In, Nothing, in_process_executor, job, op

    @op
    def slow():
        print("slow begins")
        while not Path(os.environ["NOTES"], "go").exists():
            time.sleep(0.01)
        print("slow ends at", time.time())

    @op(ins={"after": In(Nothing)})
    def last():
        print("last")

    @job(executor_def=in_process_executor)
    def talk():
        last(slow())

    @op
    def tell(context):
        context.add_output_metadata({"report": "x" * (70 * 2**20)})

    @job(executor_def=in_process_executor)
    def report():
        tell()

    defs = Definitions(jobs=[talk, report])
    """
)


async def ask(it: AgentStand, run: RunRef, *, offset: int = 0, step: str = "", wait_s: float = 0.0) -> str:
    cursors = [LogCursor(stream=LOG_STREAM_STDOUT, offset=offset)]
    body = FetchLogs(run=run, location="sales", cursors=cursors, step_key=step, wait_s=wait_s)
    return await it.tell(fetch_logs=body, is_question=True)


def text(result: InstructionResult) -> str:
    return b"".join(chunk.data for chunk in result.logs.chunks).decode()


async def serve_talk(it: AgentStand, folder: Path) -> None:
    file = folder / "talk.py"
    file.write_text(PROJECT)
    spec = it.location()
    spec.source.python_file = str(file)
    await it.sync(spec)
    await it.report(LOCATION_PHASE_SERVING)


async def test_output_is_told_as_it_is_written_by_step_and_with_gaps(broker_url: str, tmp_path: Path) -> None:
    async with agent_stand(url=broker_url, folder=tmp_path) as it, it.agent():
        await serve_talk(it, tmp_path)
        run = new_run()
        await it.start("talk", run)

        async def has_begun() -> bool:
            return text(await it.answer(await ask(it, run, step="slow"))) == "slow begins\n"

        await eventually(has_begun, within=20)
        begun = len("slow begins\n")
        question = await ask(it, run, offset=begun, step="slow", wait_s=20)
        # A question that waits keeps nothing else from being done.
        assert text(await it.answer(await ask(it, run, step="last"))) == ""
        (it.notes / "go").touch()
        told = await it.answer(question)
        written_at = float(text(told).split()[-1])
        assert text(told).startswith("slow ends at")
        assert time.time() - written_at < 2.0
        await it.end(run)
        assert text(await it.answer(await ask(it, run, step="last"))) == "last\n"
        whole = text(await it.answer(await ask(it, run)))
        assert whole.startswith("slow begins\nslow ends at")
        assert whole.endswith("last\n")
        unknown = await it.answer(await ask(it, run, step="first", wait_s=5))
        assert "it has: last, slow" in unknown.violations[0].description

        (file,) = it.data_dir.rglob(f"{run.run_id}.1/stdout")
        os.truncate(file, 4)
        cut = await it.answer(await ask(it, run, offset=len(whole)))
        assert cut.logs.chunks[0].gap.reason == LogGap.REASON_TRUNCATED
        assert (cut.logs.chunks[1].offset, cut.logs.chunks[1].data) == (0, b"slow")


async def test_a_value_too_large_for_an_event_is_cut_and_given_on_demand(broker_url: str, tmp_path: Path) -> None:
    async with agent_stand(url=broker_url, folder=tmp_path) as it, it.agent():
        await serve_talk(it, tmp_path)
        neighbour, run = new_run(), new_run()
        await it.start("talk", neighbour)
        await it.start("report", run)
        end = await it.end(run)
        assert end.WhichOneof("body") == "run_succeeded"
        (cut,) = [cut for event in it.events if event.run == run for cut in event.cuts]
        assert (cut.size_bytes, cut.is_kept) == (70 * 2**20, True)

        body = FetchLogs(run=run, location="sales", value_sha256=cut.sha256, max_bytes=1000)
        body.cursors.add(stream=LOG_STREAM_STDOUT, offset=70 * 2**20 - 10)
        answer = await it.answer(await it.tell(fetch_logs=body, is_question=True))
        assert (text(answer), answer.logs.is_complete) == ("x" * 10, True)
        assert answer.logs.chunks[0].value_sha256 == cut.sha256
        for unknown in ("0" * 64, "../stdout"):
            body.value_sha256 = unknown
            answer = await it.answer(await it.tell(fetch_logs=body, is_question=True))
            assert answer.violations[0].field == "value_sha256"

        (it.notes / "go").touch()
        assert (await it.end(neighbour)).WhichOneof("body") == "run_succeeded"
