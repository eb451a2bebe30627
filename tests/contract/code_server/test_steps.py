"""The default executor: each step in a process forked off the run's, with the meaning that Dagster gives it."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.telemetry_pb2 import Event
from isthmus_code_server.definitions.port import ExplainDeath, RunPlace
from isthmus_code_server.zygote.wire import StartMethod
from support.eventually import eventually
from support_code_server import Load, run_request
from support_supervisor import ended, is_alive, supervising


def lines(events: list[Event]) -> set[str]:
    return {event.message for event in events if event.HasField("log_message")}


def steps(events: list[Event], body: str) -> list[str]:
    return [event.step_key for event in events if event.WhichOneof("body") == body]


async def run(tmp_path: Path, job: str, *, config: object = None) -> list[Event]:
    async with supervising(tmp_path, module="steps") as supervisor:
        answer = await supervisor.start(run_request(job, run_id="r", config=config))  # type: ignore[arg-type]
        assert answer.HasField("accepted"), answer
        return await ended(supervisor, "r", within=30)


async def test_each_step_has_a_process_of_its_own(tmp_path: Path) -> None:
    events = await run(tmp_path, "apart")
    assert events[-1].HasField("run_succeeded")
    assert "different 3" in lines(events)
    kinds = [event.engine_event.kind for event in events if event.step_key == "one" and event.HasField("engine_event")]
    assert kinds == ["STEP_WORKER_STARTING", "STEP_WORKER_STARTED"]


async def test_a_step_begins_only_after_what_it_needs_was_told(tmp_path: Path) -> None:
    events = await run(tmp_path, "apart")
    told = [(event.WhichOneof("body"), event.step_key) for event in events]
    for upstream in ("one", "two"):
        assert told.index(("step_succeeded", upstream)) < told.index(("step_started", "compare"))


async def test_one_at_a_time_where_the_config_says_so(tmp_path: Path) -> None:
    config = {"execution": {"config": {"multiprocess": {"max_concurrent": 1}}}}
    events = await run(tmp_path, "apart", config=config)
    course = [event.step_key for event in events if event.WhichOneof("body") in ("step_started", "step_succeeded")]
    assert course[::2] == course[1::2]


async def test_a_step_that_dies_fails_its_own_branch(tmp_path: Path) -> None:
    events = await run(tmp_path, "dying")
    assert sorted(steps(events, "step_failed")) == ["exits", "killed"]
    assert sorted(steps(events, "step_succeeded")) == ["begin", "behind_good"]
    failures = [event.step_failed.failure for event in events if event.HasField("step_failed")]
    assert {failure.error_class for failure in failures} == {"ChildProcessCrashException"}
    told = " ".join(event.message for event in events if event.HasField("engine_event"))
    assert "step killed was terminated by signal 9 (SIGKILL)" in told
    assert "step exits unexpectedly exited with code 7" in told
    end = events[-1].run_failed
    assert end.failure.error_class == "DagsterSubprocessError"
    # Of the two that died, the first one's end is the run's.
    how = {pb.RUN_REASON_PROCESS_KILLED: end.exit.signal, pb.RUN_REASON_PROCESS_EXITED: end.exit.exit_code}
    assert how[end.reason] == {pb.RUN_REASON_PROCESS_KILLED: 9, pb.RUN_REASON_PROCESS_EXITED: 7}[end.reason]


async def test_a_step_is_retried_whether_it_raised_or_died(tmp_path: Path) -> None:
    events = await run(tmp_path, "retried")
    assert steps(events, "step_up_for_retry") == ["third_time", "third_time"]
    restarted = [event.step_restarted.retry_number for event in events if event.HasField("step_restarted")]
    assert restarted == [1, 2]
    assert events[-1].HasField("run_succeeded")


async def test_dynamic_outputs_become_steps(tmp_path: Path) -> None:
    events = await run(tmp_path, "dynamic")
    mapped = {f"behind[part_{number}]" for number in range(3)}
    assert set(steps(events, "step_succeeded")) == {"split", "total", *mapped}
    assert events[-1].HasField("run_succeeded")


async def test_outputs_that_stay_in_memory_are_refused_where_steps_have_processes(tmp_path: Path) -> None:
    async with supervising(tmp_path, module="steps") as supervisor:
        answer = await supervisor.start(run_request("in_memory", run_id="r"))
    assert [violation.field for violation in answer.rejected.violations] == ["run_config"]
    assert "persistent IO manager" in answer.rejected.violations[0].description


async def test_what_the_import_is_to_clean_up_outlives_steps_and_runs(tmp_path: Path) -> None:
    async with supervising(tmp_path, module="steps") as supervisor:
        for run_id in ("first", "second"):
            await supervisor.start(run_request("scratching", run_id=run_id))
            events = await ended(supervisor, run_id, within=30)
            assert events[-1].HasField("run_succeeded")
            assert [line for line in sorted(lines(events)) if "scratch" in line] == ["scratch True"]


async def test_a_cancel_ends_the_steps_too(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    async with supervising(tmp_path, module="steps") as supervisor:
        config = {"ops": {"sleeps": {"config": {"ready": str(ready)}}}}
        await supervisor.start(run_request("sleeping", run_id="r", config=config))
        pid = int(await eventually(lambda: ready.exists() and ready.read_text(), within=20))
        assert await supervisor.cancel(pb.RunRef(run_id="r", attempt=1))
        assert not is_alive(pid)
        events = await ended(supervisor, "r")
    assert events[-1].HasField("run_canceled")
    assert steps(events, "step_failed") == ["sleeps"]


async def test_an_interrupt_of_the_run_alone_reaches_its_steps(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    async with supervising(tmp_path, module="steps") as supervisor:
        config = {"ops": {"sleeps": {"config": {"ready": str(ready)}}}}
        answer = await supervisor.start(run_request("sleeping", run_id="r", config=config))
        pid = int(await eventually(lambda: ready.exists() and ready.read_text(), within=20))
        os.kill(answer.accepted.pid, signal.SIGINT)
        events = await ended(supervisor, "r")
        assert not is_alive(pid)
    assert events[-1].run_failed.reason == pb.RUN_REASON_PROCESS_KILLED


class NotedDeaths:
    """Notes which of the processes that were begun died, by their number."""

    def __init__(self) -> None:
        self.begun = 0
        self.looks = 0
        self.died: list[int] = []

    def begin(self) -> ExplainDeath:
        self.begun += 1
        return partial(self._explain, self.begun)

    def look(self) -> None:
        self.looks += 1

    def _explain(self, number: int, status: int) -> pb.RunFailed:
        assert os.WTERMSIG(status) == signal.SIGKILL
        self.died.append(number)
        return pb.RunFailed(reason=pb.RUN_REASON_OUT_OF_MEMORY)


def test_each_try_of_a_step_is_watched_from_its_own_start(load: Load) -> None:
    deaths, events = NotedDeaths(), list[Event]()
    run = load(module="steps").prepare(run_request("retried"))
    run.execute(events.append, place=RunPlace(deaths=deaths))
    assert events[-1].HasField("run_succeeded")
    # Three tries, of which the second one died, and the step behind.
    assert (deaths.begun, deaths.died) == (4, [2])
    assert deaths.looks > 0


@pytest.mark.parametrize("job", ["together", "apart"])
async def test_a_spawned_run_has_the_threads_that_importing_starts(tmp_path: Path, job: str) -> None:
    async with supervising(tmp_path, module="threaded", start=StartMethod.SPAWN) as supervisor:
        answer = await supervisor.start(run_request(job, run_id="r"))
        assert answer.HasField("accepted"), answer
        events = await ended(supervisor, "r", within=20)
    assert events[-1].HasField("run_succeeded")
    assert "poller True" in lines(events)


async def test_a_thread_that_a_fork_leaves_behind_is_named(tmp_path: Path) -> None:
    async with supervising(tmp_path, module="threaded", start=StartMethod.FORK) as supervisor:
        warnings = (await supervisor.zygote.described()).snapshot.warnings
        await supervisor.start(run_request("together", run_id="r"))
        events = await ended(supervisor, "r")
    assert len(warnings) == 1
    assert "user-poller" in warnings[0]
    assert "poller False" in lines(events)
