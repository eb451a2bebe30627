"""Accepts runs: judged by the location's definitions, and written with all that their way needs."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_lifecycle.log import get_logger
from isthmus_store import run_intake, runs
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import AttemptRef, NewRun, Run
from isthmus_store.run_intake import Intake
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock, history
from isthmus_control_plane.commands import command
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.ledger import read_rules
from isthmus_control_plane.dispatching.lifetime import launch_lifetime
from isthmus_control_plane.dispatching.partition_keys import unknown_keys
from isthmus_control_plane.dispatching.pools import pools_of, root_pools_of
from isthmus_control_plane.dispatching.queue import Dispatch, Wait
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules
from isthmus_control_plane.errors import ConflictError, ControlPlaneError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.facts import Agent
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_control_plane.validation.launch import launch_violations, resolve_job
from isthmus_control_plane.validation.query_resolution import with_selected_assets
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

_PARTITION_TAG = "dagster/partition"
#: So many launches at once are queued together, and none of them dispatched at once.
_CROWD: Final = 8
#: So many launches of a crowd are judged before others have their turn.
_BREATH: Final = 50
#: Runs that are queued together wait one behind the other.
_APART: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Launch:
    """A run that somebody wants."""

    deployment: str
    request: RunRequest
    requested_by: str
    #: Whether the caller chose the run's id, and so may have sent the same before.
    is_id_given: bool
    #: What is to be selected besides, by what the location defines.
    asset_queries: tuple[str, ...] = ()

    def as_call(self) -> api.LaunchRunRequest:
        """Return it as a caller of the API would have asked for it: all launches are judged by the same rules."""
        request = self.request
        return api.LaunchRunRequest(
            deployment=self.deployment,
            run_id=request.run.run_id,
            location=request.location,
            job_name=request.job_name,
            run_config_json=request.run_config_json,
            op_selection=request.op_selection,
            asset_selection=request.asset_selection,
            check_selection=request.check_selection,
            has_check_selection=request.has_check_selection,
            partition_key=request.partition_key,
            tags=request.tags,
            asset_queries=self.asset_queries,
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run of a launch."""

    run: Run
    #: What it is tagged with; None for a run that was there before, whose tags may have changed since.
    tags: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A launch that was judged: what to write."""

    deployment: str
    request: RunRequest
    requested_by: str
    verdict: queue.Verdict
    #: When the runs of the agents were begun to be counted.
    read_at: float
    #: How long after its dispatch its launch expires.
    lifetime: timedelta
    #: What the run is tagged with: its job's tags, its partition, its own.
    tags: dict[str, str]
    #: The pools of its steps; None when it is not known what its location defines.
    pools: tuple[str, ...] | None
    #: Those of the steps that it begins with, where each of these is in one; else none.
    root_pools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What a launch wrote: nothing when its id was taken already."""

    run: Run
    is_new: bool
    instructions: tuple[NewInstruction, ...] = ()


@dataclass(slots=True)
class Known:
    """What one transaction has found out: it reads that once, however many runs it accepts."""

    sites: dict[LocationKey, world.World] = field(default_factory=dict)
    rules: dict[str, Rules] = field(default_factory=dict)
    #: Where a run was queued: those after it are queued, too.
    waited_for: set[LocationKey] = field(default_factory=set)


class Acceptor:
    """Accepts runs, whoever wants them: a caller of the API, or a run that is to be done again."""

    def __init__(self, core: Core, *, memory: world.SyncMemory, dispatcher: OutboxDispatcher) -> None:
        self._core = core
        self._memory = memory
        self._dispatcher = dispatcher

    async def accept(self, launch: Launch) -> Accepted:
        """Accept a run whose request is well formed: from the return on it will end in a state with a reason.

        A run id that exists already returns that run as it stands, when it is a run of the same request.
        """
        at = clock.now()
        try:
            async with self._core.database.look() as tx:
                plan = await self._plan(tx, launch, at=at, known=Known())
        except ControlPlaneError:
            # What was accepted once is accepted, whatever became of its location since.
            existing = await self._existing(launch)
            if existing is None:
                raise
            return Accepted(_same(existing, launch))
        written = await self._commit(plan, at=at)
        if not written.is_new:
            return Accepted(_same(written.run, launch))
        self.tell(written)
        return Accepted(written.run, plan.tags)

    async def write(self, tx: WriteTransaction, launch: Launch, *, at: datetime, known: Known) -> Written:
        """Judge a request and write its run, as a part of a transaction that says more; see `tell`.

        Raises:
            ControlPlaneError: The location cannot execute it; nothing was written.
        """
        return await self._write(tx, await self._plan(tx, launch, at=at, known=known), at=at, known=known)

    async def write_all(
        self, tx: WriteTransaction, launches: Sequence[Launch], *, at: datetime, known: Known
    ) -> list[Written]:
        """Write many: see `write`. A crowd is queued as one, which costs little; a look lets it leave in portions."""
        if len(launches) < _CROWD:
            return [await self.write(tx, launch, at=at, known=known) for launch in launches]
        plans = []
        for index, launch in enumerate(launches):
            plans.append(await self._plan(tx, launch, at=at, known=known))
            if index % _BREATH == 0:
                # What is known already asks nobody: others are to have their turn all the same.
                await asyncio.sleep(0)
        return await _queue_all(tx, plans, at=at, known=known)

    def tell(self, written: Written) -> None:
        """Send on its way what was written, once its transaction is committed."""
        run = written.run
        self._dispatcher.offer(*written.instructions)
        if run.state is RunState.QUEUED:
            self._core.hub.queue.ring()
        self._core.hub.run_added()
        log.info("run_accepted", run=run.run_id, location=run.location, job=run.job_name, agent=run.agent)

    def changed(self, run_id: str) -> None:
        """Tell whoever watches a run that its history went on."""
        self._core.hub.run_changed(run_id)

    async def _existing(self, launch: Launch) -> Run | None:
        if not launch.is_id_given:
            return None
        async with self._core.database.look() as tx:
            return await runs.get(tx, launch.request.run.run_id)

    async def _plan(self, tx: Transaction, launch: Launch, *, at: datetime, known: Known) -> _Plan:
        """Judge a request against the location's definitions, and decide where it goes."""
        deployment, built = launch.deployment, RunRequest()
        built.CopyFrom(launch.request)
        key = LocationKey(deployment, built.location)
        seen = known.sites.get(key) or await world.read_location(tx, key, memory=self._memory, at=at)
        known.sites[key] = seen
        if key not in seen.locations:
            raise await no_such_location(tx, key)
        definitions = await self._core.definitions.get(tx, seen.serving_hash(key))
        asked = with_selected_assets(launch.as_call(), definitions=definitions)
        del built.asset_selection[:]
        built.asset_selection.extend(asked.asset_selection)
        if definitions is not None:
            refuse(launch_violations(asked, definitions=definitions))
            built.job_name = asked.job_name = resolve_job(asked, definitions=definitions)
            refuse(await unknown_keys(tx, asked, deployment=deployment, definitions=definitions))
        job = definitions.jobs.get(built.job_name) if definitions is not None else None
        lifetime = launch_lifetime(
            seen.locations[key].settings,
            agents=[seen.agents[it.key] for it in seen.fleet.holders(key)],
            launch_timeout_s=self._core.settings.launch_timeout_s,
        )
        verdict = queue.decide(key, fleet=seen.fleet)
        tags = {**(job.tags if job is not None else {}), **_partition_tag(built), **built.tags}
        pools = pools_of(built, definitions=definitions) if definitions is not None else None
        roots = root_pools_of(built, definitions=definitions) if definitions is not None else ()
        return _Plan(deployment, built, launch.requested_by, verdict, seen.read_at, lifetime, tags, pools, roots)

    async def _commit(self, plan: _Plan, *, at: datetime) -> Written:
        """Write the run: in one statement if it may be dispatched, else in a transaction."""
        if isinstance(plan.verdict, Dispatch):
            agent = self._agent(plan, among=plan.verdict.agents)
            with self._core.tally.giving(agent):
                async with self._core.database.write_at_once() as tx:
                    written = await _dispatch(tx, plan, agent=agent, at=at)
            if written is not None:
                return written
        async with self._core.database.write() as tx:
            return await self._write(tx, plan, at=at, known=Known())

    async def _write(self, tx: WriteTransaction, plan: _Plan, *, at: datetime, known: Known) -> Written:
        """Dispatch the run, or queue it: because of its location, or because others wait for that already."""
        place = LocationKey(plan.deployment, plan.request.location)
        if isinstance(plan.verdict, Dispatch) and place not in known.waited_for:
            agent = self._agent(plan, among=plan.verdict.agents)
            with self._core.tally.giving(agent):
                written = await _dispatch(tx, plan, agent=agent, at=at)
            if written is not None:
                return written
        return await _queue(tx, _waiting(plan, at=at), plan=plan, known=known)

    def _agent(self, plan: _Plan, *, among: Iterable[Agent]) -> AgentKey:
        """Choose the agent for a run; at once before it is written, so that those that are decided about beside it count it."""
        given = self._core.tally.since(plan.read_at)
        return queue.least_loaded(among, turn=plan.request.run.run_id, given=given).key


async def _dispatch(tx: WriteTransaction, plan: _Plan, *, agent: AgentKey, at: datetime) -> Written | None:
    """Dispatch the run; None, with nothing written, when it has to be queued."""
    new = _new_run(plan, at=at)
    new = replace(new, line=_line(new, plan=plan, rules=NO_RULES))
    instruction = command.launch(agent, request=plan.request, at=at, lifetime=plan.lifetime)
    news = [
        history.queued(_ref(new), requested_by=new.requested_by, at=at),
        history.dispatched(_ref(new), agent=agent.name, instruction_id=instruction.id, at=at),
    ]
    inserted = await runs.insert_dispatched(
        tx, new, runs.Dispatching(agent=agent.name, at=at, history=news, command=instruction)
    )
    if inserted.must_wait:
        return None
    return Written(inserted.run, is_new=inserted.is_new, instructions=(instruction,) if inserted.is_new else ())


async def _queue_all(tx: WriteTransaction, plans: Sequence[_Plan], *, at: datetime, known: Known) -> list[Written]:
    """Queue runs, in their order."""
    intakes = []
    for index, plan in enumerate(plans):
        new = _waiting(plan, at=at + index * _APART)
        line = _line(new, plan=plan, rules=await _rules(tx, new.deployment, known=known))
        news = [history.queued(_ref(new), requested_by=new.requested_by, at=at)]
        intakes.append(Intake(replace(new, line=line), news))
        known.waited_for.add(_place(new))
    return [Written(it.run, is_new=it.is_new) for it in await run_intake.queue(tx, intakes, at=at)]


def _waiting(plan: _Plan, *, at: datetime) -> NewRun:
    """Return a run that waits: because of its location, or because others go first."""
    place = LocationKey(plan.deployment, plan.request.location)
    reason = plan.verdict.reason if isinstance(plan.verdict, Wait) else queue.in_line(place)
    return replace(_new_run(plan, at=at), message=reason)


async def _rules(tx: Transaction, deployment: str, *, known: Known) -> Rules:
    if deployment not in known.rules:
        found = await read_rules(tx, deployments=[deployment])
        known.rules[deployment] = found.get(deployment, NO_RULES)
    return known.rules[deployment]


async def _queue(tx: WriteTransaction, new: NewRun, *, plan: _Plan, known: Known) -> Written:
    line = _line(new, plan=plan, rules=await _rules(tx, new.deployment, known=known))
    news = [history.queued(_ref(new), requested_by=new.requested_by, at=new.queued_at)]
    inserted = await runs.insert(tx, replace(new, line=line), history=news)
    if inserted.is_new:
        known.waited_for.add(_place(new))
    return Written(inserted.run, is_new=inserted.is_new)


def _new_run(plan: _Plan, *, at: datetime) -> NewRun:
    request = plan.request
    return NewRun(
        run_id=request.run.run_id,
        deployment=plan.deployment,
        location=request.location,
        job_name=request.job_name,
        request=request.SerializeToString(),
        queued_at=at,
        requested_by=plan.requested_by,
        tags=plan.tags,
        pools=plan.pools or (),
        root_pools=plan.root_pools,
    )


def _line(new: NewRun, *, plan: _Plan, rules: Rules) -> str:
    """Name the line that a run waits in, or would."""
    needs = needs_of(_place(new), tags=new.tags, pools=new.pools, keys=rules.keys, root_pools=new.root_pools)
    return line_name(needs, keys=rules.keys, is_complete=plan.pools is not None)


def _place(new: NewRun) -> LocationKey:
    return LocationKey(new.deployment, new.location)


def _partition_tag(request: RunRequest) -> dict[str, str]:
    return {_PARTITION_TAG: request.partition_key} if request.partition_key else {}


def _ref(new: NewRun) -> AttemptRef:
    return AttemptRef(new.run_id, new.attempt)


def _same(existing: Run, launch: Launch) -> Run:
    """Return the run of a repeated call; refuse a call that wants another run under its id."""
    stored, wanted = RunRequest.FromString(existing.request), launch.request
    stored.run.CopyFrom(wanted.run)
    if launch.asset_queries:
        # They were resolved when the run was accepted, and may select something else by now.
        del stored.asset_selection[:]
        stored.asset_selection.extend(wanted.asset_selection)
    if not wanted.job_name:
        # It was resolved when the run was accepted.
        stored.job_name = ""
    if existing.deployment != launch.deployment:
        raise ConflictError("run", name=existing.run_id, why="it belongs to another deployment.")
    if stored != wanted:
        raise ConflictError("run", name=existing.run_id, why="its request differs. Use a new run_id.")
    return existing
