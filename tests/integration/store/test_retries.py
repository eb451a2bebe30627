"""What follows a run that failed, on both databases: written with the failure, once, or not at all."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.control_plane_pb2 import QueueSettings, RunRetries, TagLimit
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import Event, RunRef
from isthmus_store import deferral, events, outbox, queue_settings, run_queue, runs
from isthmus_store.database import Database
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.location import LocationKey
from isthmus_store.record.run import NewRun, Run
from isthmus_store.retry.follow import follow_up
from isthmus_store.signal import Accepted, Canceled, Dispatched, Failed, LeaseExpired, RunSignal, Started, Succeeded
from isthmus_store.state import RunReason, RunState
from isthmus_store.transition import Verdict

PLACE = LocationKey("prod", "etl")
LINE = line_name(needs_of(PLACE, tags={}, pools=("db",), keys=()), keys=())
ONCE = {"dagster/max_retries": "1"}
KILLED = Failed(attempt=1, reason=RunReason.PROCESS_KILLED)


async def started(database: Database, now: datetime, tags: Mapping[str, str] = ONCE, *, line: str = LINE) -> Run:
    """A run of three steps, the first of which is done."""
    run_id = str(uuid4())
    request = RunRequest(run=RunRef(run_id=run_id, attempt=1), location="etl", job_name="nightly", tags={"own": "x"})
    new = NewRun(
        run_id=run_id,
        deployment="prod",
        location="etl",
        job_name="nightly",
        request=request.SerializeToString(),
        queued_at=now,
        tags={"own": "x", "team": "of the job", **tags},
        pools=("db",),
        line=line,
    )
    said = [
        Event(run_started=wire.RunStarted(step_keys=["a", "b", "c"])),
        Event(step_key="a", step_started=wire.StepStarted()),
        Event(step_key="a", step_output=wire.StepOutput(output_name="result")),
        Event(step_key="a", step_succeeded=wire.StepSucceeded()),
        Event(step_key="b", step_started=wire.StepStarted()),
    ]
    async with database.write() as tx:
        await runs.insert(tx, new)
        for signal in (Dispatched(attempt=1, agent="lab"), Accepted(attempt=1), Started(attempt=1)):
            await runs.signal(tx, run_id, signal, at=now)
        new_events = [events.new_event(event) for event in said]
        await events.append(tx, run_id, attempt=1, events=new_events, stored_at=now)
        return await runs.existing(tx, run_id)


async def end(database: Database, run: Run, how: RunSignal, *, at: datetime) -> Run:
    """End a run as all do who end one; returns it as it stands then."""
    async with database.write() as tx:
        signaled = await runs.signal(tx, run.run_id, how, at=at)
        await follow_up(tx, [signaled.run], at=at)
        return await runs.existing(tx, run.run_id)


async def follower(database: Database, run: Run) -> Run:
    assert run.retried_by is not None
    async with database.read() as tx:
        return await runs.existing(tx, run.retried_by)


async def tags_of(database: Database, run: Run) -> dict[str, str]:
    async with database.read() as tx:
        return (await runs.tags(tx, [run.run_id])).get(run.run_id, {})


async def texts(database: Database, run: Run) -> list[str]:
    async with database.read() as tx:
        stored = await events.after(tx, run.run_id, position=0)
    read = [Event.FromString(it.body) for it in stored if it.kind == "engine_event"]
    return [event.message for event in read]


async def limit(database: Database, retries: RunRetries, *, at: datetime) -> None:
    body = QueueSettings(run_retries=retries).SerializeToString()
    async with database.write() as tx:
        new = NewSettings(body=body, is_limiting=False, changed_by="ann", changed_at=at)
        await queue_settings.save(tx, "prod", new)


async def test_a_killed_run_is_followed_by_one_that_does_the_rest(database: Database, now: datetime) -> None:
    failed = await end(database, await started(database, now), KILLED, at=now)
    again = await follower(database, failed)
    assert (again.state, again.retry_of, again.retry_number) == (RunState.QUEUED, failed.run_id, 1)
    assert (again.location, again.job_name, again.pools, again.line) == ("etl", "nightly", ("db",), LINE)
    request = RunRequest.FromString(again.request)
    assert list(request.step_keys) == ["b", "c"]
    assert (request.parent_run_id, request.root_run_id) == (failed.run_id, failed.run_id)
    assert [output.step_key for output in request.past_runs[0].outputs] == ["a"]
    told = await tags_of(database, failed)
    assert (told["dagster/will_retry"], told["dagster/auto_retry_run_id"]) == ("true", again.run_id)
    inherited = await tags_of(database, again)
    assert inherited == {
        **ONCE,
        "own": "x",
        "team": "of the job",
        "dagster/retry_number": "1",
        "dagster/parent_run_id": failed.run_id,
        "dagster/root_run_id": failed.run_id,
        "dagster/is_resume_retry": "true",
    }
    assert await texts(database, failed) == [f"Retry 1 of 1 is run {again.run_id}."]


async def test_all_steps_are_done_again_where_that_is_asked_for(database: Database, now: datetime) -> None:
    run = await started(database, now, ONCE | {"dagster/retry_strategy": "ALL_STEPS"})
    again = await follower(database, await end(database, run, KILLED, at=now))
    request = RunRequest.FromString(again.request)
    assert (list(request.step_keys), list(request.past_runs)) == ([], [])


async def test_a_group_ends_after_its_last_retry(database: Database, now: datetime) -> None:
    first = await end(database, await started(database, now), KILLED, at=now)
    again = await follower(database, first)
    async with database.write() as tx:
        await runs.signal(tx, again.run_id, Dispatched(attempt=1, agent="lab"), at=now)
    second = await end(database, again, KILLED, at=now)
    assert second.retried_by is None
    assert (await tags_of(database, second))["dagster/will_retry"] == "false"
    assert await texts(database, second) == ["Not retried: 1 of 1 retries were made."]


@pytest.mark.parametrize(
    "how", [Succeeded(attempt=1), Canceled(attempt=1), Canceled(attempt=1, reason=RunReason.CODE_SERVER_STOPPED)]
)
async def test_what_did_not_fail_is_not_followed(database: Database, now: datetime, how: RunSignal) -> None:
    ended = await end(database, await started(database, now), how, at=now)
    assert ended.retried_by is None
    assert "dagster/will_retry" not in await tags_of(database, ended)


async def test_a_failure_that_is_looked_at_again_is_followed_once(database: Database, now: datetime) -> None:
    failed = await end(database, await started(database, now), KILLED, at=now)
    async with database.write() as tx:
        assert await follow_up(tx, [failed], at=now) == []
        # Also by one who read the failure before it was followed.
        stale = await runs.existing(tx, failed.run_id)
        object.__setattr__(stale, "retried_by", None)
        await follow_up(tx, [stale], at=now)
    async with database.read() as tx:
        heads = await run_queue.heads(tx, limit=10)
        waiting = [run for head in heads for run in await run_queue.oldest(tx, head.line, limit=10)]
    assert [run.retry_of for run in waiting] == [failed.run_id]


async def test_rules_of_the_deployment_are_for_runs_without_tags(database: Database, now: datetime) -> None:
    await limit(database, RunRetries(max_retries=1, retry_on_asset_or_op_failure=False), at=now)
    killed = await end(database, await started(database, now, {}), KILLED, at=now)
    assert killed.retried_by is not None
    run = await started(database, now, {})
    body = wire.RunFailed(reason=wire.RUN_REASON_USER_ERROR, step_key="b")
    async with database.write() as tx:
        await events.append(tx, run.run_id, attempt=1, events=[events.new_event(Event(run_failed=body))], stored_at=now)
    failed = await end(database, run, Failed(attempt=1, reason=RunReason.USER_ERROR), at=now)
    assert failed.retried_by is None
    assert await texts(database, failed) == [
        "Not retried: an op or asset failed, and retries are for other failures alone."
    ]


async def test_a_run_all_of_whose_steps_were_done_leaves_nothing_to_do(database: Database, now: datetime) -> None:
    run = await started(database, now)
    done = [Event(step_key=key, step_succeeded=wire.StepSucceeded()) for key in ("b", "c")]
    async with database.write() as tx:
        new_events = [events.new_event(event) for event in done]
        await events.append(tx, run.run_id, attempt=1, events=new_events, stored_at=now)
    ended = await end(database, run, KILLED, at=now)
    assert ended.retried_by is None
    assert "nothing is left" in (await texts(database, ended))[0]


async def test_a_lost_run_that_is_followed_stays_failed_and_is_ended_where_it_may_live(
    database: Database, now: datetime
) -> None:
    lost = await end(database, await started(database, now), LeaseExpired(attempt=1), at=now)
    await follower(database, lost)
    async with database.write() as tx:
        late = await runs.signal(tx, lost.run_id, Succeeded(attempt=1), at=now)
        (lane,) = await outbox.lanes(tx)
        (command,) = await outbox.unsent(tx, lane, limit=10)
    assert late.decision.verdict is Verdict.TOO_LATE
    assert (command.kind, command.run_id, command.agent) == ("terminate_run", lost.run_id, "lab")


async def test_a_retry_with_a_pause_waits_beside_the_queue_until_its_moment(database: Database, now: datetime) -> None:
    run = await started(database, now, ONCE | {"isthmus/retry_backoff_s": "90"})
    again = await follower(database, await end(database, run, KILLED, at=now))
    due_at = now + timedelta(seconds=90)
    assert deferral.deferred_until(again.line) == due_at
    assert again.message.startswith("back-off until ")
    async with database.write() as tx:
        assert await run_queue.heads(tx, limit=10) == []
        assert await deferral.next_due(tx) == due_at
        assert await deferral.release(tx, at=due_at - timedelta(microseconds=1)) == 0
        assert await deferral.release(tx, at=due_at) == 1
        assert await deferral.next_due(tx) is None
        assert [head.run_id for head in await run_queue.heads(tx, limit=10)] == [again.run_id]


async def test_a_request_that_cannot_be_read_fails_and_nothing_more(database: Database, now: datetime) -> None:
    new = NewRun(
        run_id=str(uuid4()), deployment="prod", location="etl", job_name="j", request=b"\xff", queued_at=now, tags=ONCE
    )
    async with database.write() as tx:
        run = (await runs.insert(tx, new)).run
        await runs.signal(tx, run.run_id, Dispatched(attempt=1, agent="lab"), at=now)
    ended = await end(database, run, KILLED, at=now)
    assert (ended.state, ended.retried_by) == (RunState.FAILED, None)
    assert "could not be written" in (await texts(database, ended))[0]


async def test_a_retry_waits_in_the_line_of_its_own_tags(database: Database, now: datetime) -> None:
    tags = ONCE | {"dagster/priority": "3", "team": "a"}
    again = await follower(database, await end(database, await started(database, now, tags), KILLED, at=now))
    assert again.line == line_name(needs_of(PLACE, tags=tags, pools=("db",), keys=()), keys=())
    settings = QueueSettings(tags=[TagLimit(key="team", limit=1)])
    async with database.write() as tx:
        new = NewSettings(body=settings.SerializeToString(), is_limiting=True, changed_by="ann", changed_at=now)
        await queue_settings.save(tx, "prod", new)
    unsure = line_name(needs_of(PLACE, tags={}, pools=(), keys=()), keys=(), is_complete=False)
    failed = await end(database, await started(database, now, tags, line=unsure), KILLED, at=now)
    limited = needs_of(PLACE, tags=tags, pools=("db",), keys={"team"})
    assert (await follower(database, failed)).line == line_name(limited, keys={"team"}, is_complete=False)


async def test_where_no_line_was_told_the_queue_names_that_of_a_retry(database: Database, now: datetime) -> None:
    failed = await end(database, await started(database, now, line=""), KILLED, at=now)
    assert (await follower(database, failed)).line == ""
