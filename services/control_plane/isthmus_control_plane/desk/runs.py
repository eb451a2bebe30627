"""Runs: launched, shown, listed and ended."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_lifecycle.log import get_logger
from isthmus_store import outbox, run_page, runs, wire
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import AttemptRef, NewRun, Run
from isthmus_store.run_page import RunCursor, RunPage, RunQuery
from isthmus_store.signal import CancelRequested
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock, command, history, queue, world
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.locations import serving_hash
from isthmus_control_plane.desk.request import DEFAULT, refuse
from isthmus_control_plane.errors import ConflictError, ControlPlaneError, NotFoundError
from isthmus_control_plane.facts import AgentKey, LocationKey
from isthmus_control_plane.outbox import OutboxDispatcher
from isthmus_control_plane.queue import Dispatch, QueuedRun, Wait
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.definition import launch_violations, resolve_job

log = get_logger(__name__)

_DEFAULT_PAGE = 50


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that somebody wants."""

    deployment: str
    request: RunRequest
    requested_by: str
    #: Whether the caller chose the run's id, and so may have sent the same before.
    is_id_given: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """A launch that was judged: what to write."""

    deployment: str
    request: RunRequest
    requested_by: str
    verdict: queue.Verdict


@dataclass(frozen=True, slots=True)
class _Written:
    """What a launch wrote: nothing when its id was taken already."""

    run: Run
    is_new: bool
    instructions: tuple[NewInstruction, ...] = ()


class RunDesk:
    """Launches, shows and ends runs."""

    def __init__(self, core: Core, *, memory: world.SyncMemory, dispatcher: OutboxDispatcher) -> None:
        self._core = core
        self._memory = memory
        self._dispatcher = dispatcher

    async def launch(self, request: api.LaunchRunRequest) -> Run:
        """Accept a run: from the return on it will end in a state with a reason, whatever dies.

        A run id that exists already returns that run as it stands, when it is a run of the same request.
        """
        refuse(rules.launch_run(request))
        return await self.accept(
            Launch(
                deployment=request.deployment or DEFAULT,
                request=run_request(request),
                requested_by=request.requested_by,
                is_id_given=bool(request.run_id),
            )
        )

    async def accept(self, launch: Launch) -> Run:
        """Accept a run whose request is well formed; see `launch`."""
        at = clock.now()
        try:
            async with self._core.database.look() as tx:
                plan = await self._plan(tx, launch, at=at)
        except ControlPlaneError:
            # What was accepted once is accepted, whatever became of its location since.
            existing = await self._existing(launch)
            if existing is None:
                raise
            return _same(existing, launch)
        async with self._core.database.write() as tx:
            written = await self._write(tx, plan, at=at)
        if not written.is_new:
            return _same(written.run, launch)
        self._dispatcher.offer(*written.instructions)
        run = written.run
        log.info("run_accepted", run=run.run_id, location=run.location, job=run.job_name, agent=run.agent)
        return run

    async def _existing(self, launch: Launch) -> Run | None:
        if not launch.is_id_given:
            return None
        async with self._core.database.look() as tx:
            return await runs.get(tx, launch.request.run.run_id)

    async def _plan(self, tx: Transaction, launch: Launch, *, at: datetime) -> _Plan:
        """Judge a request against the location's definitions, and decide where it goes."""
        deployment, built = launch.deployment, RunRequest()
        built.CopyFrom(launch.request)
        key = LocationKey(deployment, built.location)
        seen = await world.read_location(tx, key, memory=self._memory, at=at)
        if key not in seen.locations:
            remedy = "Add it with ApplyLocation, or list the locations with ListLocations."
            raise NotFoundError("location", name=key.name, deployment=deployment, remedy=remedy)
        definitions = await self._core.definitions.get(tx, serving_hash(seen, key))
        if definitions is not None:
            asked = _as_launch(built)
            refuse(launch_violations(asked, definitions=definitions))
            built.job_name = resolve_job(asked, definitions=definitions)
        verdict = queue.decide(QueuedRun(built.run.run_id, key), fleet=seen.fleet)
        return _Plan(deployment, built, launch.requested_by, verdict)

    async def _write(self, tx: WriteTransaction, plan: _Plan, *, at: datetime) -> _Written:
        request = plan.request
        new = NewRun(
            run_id=request.run.run_id,
            deployment=plan.deployment,
            location=request.location,
            job_name=request.job_name,
            request=request.SerializeToString(),
            queued_at=at,
            requested_by=plan.requested_by,
            message=plan.verdict.reason if isinstance(plan.verdict, Wait) else "",
            tags=dict(request.tags),
        )
        ref = AttemptRef(new.run_id, new.attempt)
        news = [history.queued(ref, requested_by=plan.requested_by, at=at)]
        if not isinstance(plan.verdict, Dispatch):
            inserted = await runs.insert(tx, new)
            end = await history.append(tx, ref, news=news, at=at) if inserted.is_new else inserted.run.last_position
            return _Written(replace(inserted.run, last_position=end), is_new=inserted.is_new)
        agent = plan.verdict.agent
        lifetime = timedelta(seconds=self._core.settings.launch_timeout_s)
        instruction = command.launch(agent, request=request, at=at, lifetime=lifetime)
        news.append(history.dispatched(ref, agent=agent.name, instruction_id=instruction.id, at=at))
        inserted = await runs.insert_dispatched(tx, new, agent=agent.name, at=at, history=news, command=instruction)
        if not inserted.is_new:
            return _Written(inserted.run, is_new=False)
        return _Written(inserted.run, is_new=True, instructions=(instruction,))

    async def get(self, *, deployment: str, run_id: str) -> Run:
        """Return one run."""
        refuse(rules.of_run(deployment=deployment, run_id=run_id))
        async with self._core.database.read() as tx:
            return await find(tx, deployment=deployment or DEFAULT, run_id=run_id.lower())

    async def page(self, query: api.ListRunsQuery) -> RunPage:
        """Return a page of runs, newest first."""
        refuse(rules.list_runs(query))
        wanted = RunQuery(
            deployment=query.deployment or DEFAULT,
            location=query.location,
            job_name=query.job_name,
            states=frozenset(wire.RUN_STATES.from_wire(it, otherwise=RunState.QUEUED) for it in query.states),
            tags=dict(query.tags),
            queued_after=clock.moment(query.queued_after) if query.HasField("queued_after") else None,
            queued_before=clock.moment(query.queued_before) if query.HasField("queued_before") else None,
            page_size=query.page_size or _DEFAULT_PAGE,
            after=RunCursor.decode(query.page_token) if query.page_token else None,
        )
        async with self._core.database.read() as tx:
            return await run_page.page(tx, wanted)

    async def terminate(self, request: api.TerminateRunRequest) -> Run:
        """Ask for a run's end. A queued one is canceled at once; one that has ended stays as it is."""
        refuse(rules.terminate_run(request))
        run_id, deployment, at = request.run_id.lower(), request.deployment or DEFAULT, clock.now()
        async with self._core.database.write() as tx:
            await find(tx, deployment=deployment, run_id=run_id)
            signaled = await runs.signal(tx, run_id, CancelRequested(requested_by=request.requested_by), at=at)
            run = signaled.run
            if signaled.decision.is_change:
                news = [history.cancel_requested(run.ref, requested_by=request.requested_by, at=at)]
                news += [history.canceled(run, at=at)] if run.state is RunState.CANCELED else []
                await history.append(tx, run.ref, news=news, at=at)
            if run.state is RunState.CANCELING:
                # Also when it was asked for before: the grace may be shorter now, and the first one may have expired.
                agent = AgentKey(deployment, run.agent)
                await outbox.add(tx, command.terminate(agent, attempt=run.ref, grace_s=request.grace_s, at=at))
            run = await runs.existing(tx, run_id)
        log.info("run_termination_requested", run=run_id, state=run.state.value)
        self._core.hub.outbox.ring()
        self._core.hub.run_changed(run_id)
        return run


async def find(tx: Transaction, *, deployment: str, run_id: str) -> Run:
    """Return a run of the deployment.

    Raises:
        NotFoundError: There is none.
    """
    run = await runs.get(tx, run_id)
    if run is None or run.deployment != deployment:
        raise NotFoundError("run", name=run_id, deployment=deployment, remedy="List the runs with ListRuns.")
    return run


def run_request(request: api.LaunchRunRequest) -> RunRequest:
    """Return what is to be executed, under the caller's run id or a new one."""
    return RunRequest(
        run=RunRef(run_id=request.run_id.lower() or str(uuid4()), attempt=1),
        location=request.location,
        job_name=request.job_name,
        run_config_json=request.run_config_json,
        op_selection=request.op_selection,
        asset_selection=request.asset_selection,
        check_selection=request.check_selection,
        partition_key=request.partition_key,
        tags=request.tags,
    )


def _as_launch(request: RunRequest) -> api.LaunchRunRequest:
    """Return the part of a request that the definitions can be asked about."""
    return api.LaunchRunRequest(
        location=request.location,
        job_name=request.job_name,
        op_selection=request.op_selection,
        asset_selection=request.asset_selection,
        check_selection=request.check_selection,
        partition_key=request.partition_key,
    )


def _same(existing: Run, launch: Launch) -> Run:
    """Return the run of a repeated call; refuse a call that wants another run under its id."""
    stored, wanted = RunRequest.FromString(existing.request), launch.request
    stored.run.CopyFrom(wanted.run)
    if not wanted.job_name:
        # It was resolved when the run was accepted.
        stored.job_name = ""
    if existing.deployment != launch.deployment:
        raise ConflictError("run", name=existing.run_id, why="it belongs to another deployment.")
    if stored != wanted:
        raise ConflictError("run", name=existing.run_id, why="its request differs. Use a new run_id.")
    return existing
