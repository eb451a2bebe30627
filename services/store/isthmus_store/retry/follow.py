"""Writes the run that follows one that failed, in the transaction that writes the failure.

So a failure and what follows it are seen together or not at all, whatever dies; no definitions are needed for it, and nobody
who reads the failure has to guess whether it is the last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from isthmus.v1.control_plane_pb2 import QueueSettings
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from sqlalchemy import func, select, update

from isthmus_store import events, outbox, queue_settings, run_search, runs
from isthmus_store.deferral import deferred_line
from isthmus_store.errors import TransientStoreError
from isthmus_store.queue_line import LineName, line_name, needs_of
from isthmus_store.record.location import LocationKey
from isthmus_store.record.run import NewRun, Run
from isthmus_store.retry import policy, reexecution
from isthmus_store.retry.course import read_course
from isthmus_store.retry.policy import NoRetry, Retry, RetryRules, Strategy
from isthmus_store.retry.reexecution import Course
from isthmus_store.state import BELIEVED, RunState
from isthmus_store.table.run import RUN_TAGS, RUNS
from isthmus_store.termination import terminate
from isthmus_store.transaction import Transaction, WriteTransaction

_log = get_logger(__name__)

WILL_RETRY_TAG: Final = "dagster/will_retry"
RETRIED_BY_TAG: Final = "dagster/auto_retry_run_id"
NUMBER_TAG: Final = "dagster/retry_number"
#: Who asked for a run that follows another.
REQUESTED_BY: Final = "run retries"
#: What does again what is left of a run, where nothing is.
_NOTHING_LEFT: Final = "every step of it had succeeded: nothing is left to do again"
_UNFORESEEN: Final = "its retry could not be written; the log has the details under the run's id"

_boundary = Boundary("retry of a run", passes=(TransientStoreError,))


@dataclass(frozen=True, slots=True)
class _Again:
    """A run that follows a failed one: what it is asked, and why."""

    request: RunRequest
    tags: Mapping[str, str]
    retry: Retry
    #: Where it waits in the queue; empty where the queue is to say that.
    line: str = ""


@dataclass(frozen=True, slots=True)
class _Deployment:
    """What a deployment's settings say of retries, and which tags limits ask for."""

    retries: RetryRules = field(default_factory=RetryRules)
    keys: frozenset[str] = frozenset()

    @classmethod
    @lru_cache(maxsize=100)
    def parse(cls, body: bytes) -> "_Deployment":
        """Read a stored QueueSettings message."""
        return cls(RetryRules.parse(body), frozenset(it.key for it in QueueSettings.FromString(body).tags))


async def follow_up(tx: WriteTransaction, ended: Sequence[Run], *, at: datetime) -> list[Run]:
    """Decide about runs whose failures this transaction has written, their last events included, and write what follows.

    An error that nobody foresaw leaves the failure as it is: what is written of it here is undone, and it is not retried.

    Returns:
        Those of them that will be retried, as they stand now.
    """
    failed = [run for run in ended if run.state is RunState.FAILED and run.retried_by is None]
    if not failed:
        return []
    tags = await runs.tags(tx, [run.run_id for run in failed])
    stored = await queue_settings.all_of(tx, deployments={run.deployment for run in failed})
    known = {it.deployment: _Deployment.parse(it.body) for it in stored}
    retried: list[Run] = []
    for run in failed:
        own, of_deployment = tags.get(run.run_id, {}), known.get(run.deployment, _Deployment())
        if not policy.may_be_retried(own, rules=of_deployment.retries):
            continue
        with _boundary.guard(run=run.run_id) as fate:
            async with tx.part():
                retried += await _decide(tx, run, tags=own, by=of_deployment, at=at)
        if fate.error is not None:
            await _tell_no(tx, run, why=_UNFORESEEN, at=at)
    return retried


async def _decide(
    tx: WriteTransaction, run: Run, *, tags: Mapping[str, str], by: _Deployment, at: datetime
) -> list[Run]:
    request = RunRequest.FromString(run.request)
    course = await read_course(tx, run)
    failure = policy.Failure(
        reason=run.reason,
        is_of_step=bool(course.failed_step),
        tags=tags,
        group_size=await _group_size(tx, request.root_run_id or run.run_id),
    )
    decision = policy.decide(failure, rules=by.retries)
    if isinstance(decision, Retry):
        again = _again(run, request=request, course=course, tags=tags, retry=decision)
        if again is not None:
            again = replace(again, line=_line(run, tags=again.tags, keys=by.keys))
            return [await _write(tx, run, again=again, at=at)]
        decision = NoRetry(_NOTHING_LEFT)
    await _tell_no(tx, run, why=decision.why, at=at)
    return []


async def _group_size(tx: Transaction, root_run_id: str) -> int:
    """Count a run and all that followed it, whoever asked for them."""
    is_of_group = (RUN_TAGS.c.key == reexecution.ROOT_TAG) & (RUN_TAGS.c.value == root_run_id)
    return 1 + int((await tx.execute(select(func.count()).select_from(RUN_TAGS).where(is_of_group))).scalar_one())


def _again(run: Run, *, request: RunRequest, course: Course, tags: Mapping[str, str], retry: Retry) -> _Again | None:
    """Return what the next run is asked for; None when nothing is left to do."""
    request.run.CopyFrom(RunRef(run_id=run.run_id, attempt=run.attempt))
    request.job_name = run.job_name
    steps: list[str] = []
    own = {NUMBER_TAG: str(retry.number)}
    if retry.strategy is Strategy.FROM_FAILURE:
        own[reexecution.RESUME_TAG] = "true"
        steps = course.unfinished()
        if course.planned and not steps:
            return None
    asked = reexecution.request_again(
        request,
        run_id=retry_id(run.run_id),
        step_keys=steps,
        tags=own,
        past=reexecution.past_runs(course, parent=request),
    )
    # Those of its job and its partition, too: what the location defines is not at hand, and need not be.
    return _Again(asked, {**reexecution.inherited_tags(tags), **asked.tags}, retry)


def _line(run: Run, *, tags: Mapping[str, str], keys: frozenset[str]) -> str:
    """Name the line of the run that follows one: by its own tags, which may have changed since, and the same pools."""
    name = LineName.parse(run.line)
    if name is None:
        return ""
    needs = needs_of(LocationKey(run.deployment, run.location), tags=tags, pools=run.pools, keys=keys)
    return line_name(needs, keys=keys, is_complete=name.is_complete)


def retry_id(run_id: str) -> str:
    """Return the id of the run that follows a failed one: always the same, so that there is one at the most."""
    return str(uuid5(NAMESPACE_URL, f"isthmus:retry:{run_id}"))


async def _write(tx: WriteTransaction, run: Run, *, again: _Again, at: datetime) -> Run:
    new = _new_run(run, again=again, at=at)
    inserted = await runs.insert(tx, new)
    if inserted.is_new:
        queued = events.own(inserted.run.ref, at=at)
        queued.run_queued.requested_by = REQUESTED_BY
        queued.run_queued.retry_of_run_id, queued.run_queued.retry_number = run.run_id, again.retry.number
        await events.append(tx, new.run_id, attempt=1, events=[events.new_event(queued)], stored_at=at)
    await tx.execute(update(RUNS).where(RUNS.c.run_id == run.run_id).values(retried_by=new.run_id))
    await run_search.add_tags(tx, run.run_id, {WILL_RETRY_TAG: "true", RETRIED_BY_TAG: new.run_id})
    wait = f", {new.message}" if new.message else ""
    text = f"Retry {again.retry.number} of {again.retry.most} is run {new.run_id}{wait}."
    await _tell(tx, run, text=text, at=at)
    if run.reason in BELIEVED and run.agent:
        # Nobody saw its end. Should it still live where nobody hears it, it is not to go on beside its successor.
        command = terminate(run.deployment, run.agent, attempt=run.ref, grace_s=0.0, at=at)
        await outbox.add(tx, command)
    _log.info("run_retried", run=run.run_id, retry=new.run_id, number=again.retry.number, reason=str(run.reason))
    return await runs.existing(tx, run.run_id)


def _new_run(run: Run, *, again: _Again, at: datetime) -> NewRun:
    until = at + timedelta(seconds=again.retry.pause_s) if again.retry.pause_s > 0 else None
    return NewRun(
        run_id=again.request.run.run_id,
        deployment=run.deployment,
        location=run.location,
        job_name=run.job_name,
        request=again.request.SerializeToString(),
        queued_at=at,
        requested_by=REQUESTED_BY,
        message=f"back-off until {until:%Y-%m-%d %H:%M:%S} UTC" if until is not None else "",
        tags=dict(again.tags),
        line=deferred_line(run.deployment, until=until) if until is not None else again.line,
        pools=run.pools,
        retry_of=run.run_id,
        retry_number=again.retry.number,
    )


async def _tell_no(tx: WriteTransaction, run: Run, *, why: str, at: datetime) -> None:
    """Say why a run is not retried for which somebody asked for retries."""
    await run_search.add_tags(tx, run.run_id, {WILL_RETRY_TAG: "false"})
    if why:
        await _tell(tx, run, text=f"Not retried: {why}.", at=at)


async def _tell(tx: WriteTransaction, run: Run, *, text: str, at: datetime) -> None:
    news = [events.note(run.ref, text=text, at=at)]
    await events.append(tx, run.run_id, attempt=run.attempt, events=news, stored_at=at)
