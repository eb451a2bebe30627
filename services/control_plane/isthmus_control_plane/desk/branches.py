"""Branch deployments: made, shown, and sent off."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from isthmus.v1 import control_plane_pb2 as api
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, branches, locations, queue_settings
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.branch import Branch
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.branching.deletion import begin_deletion
from isthmus_control_plane.branching.keeper import read
from isthmus_control_plane.branching.plan import Seen, waits_for
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.errors import ConflictError, NotFoundError, PreconditionError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import branch as rules
from isthmus_control_plane.validation.field import optional_name
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BranchView:
    """A branch deployment as it stands."""

    branch: Branch
    #: Names of the agents that serve it.
    agents: Sequence[str]
    #: Runs that have not ended.
    active_runs: int
    #: What its deletion waits for; empty while it is not deleted.
    waits_for: str


class BranchDesk:
    """Makes and shows branch deployments, and has them deleted; what follows from that is the keeper's."""

    def __init__(self, core: Core, *, memory: world.SyncMemory) -> None:
        self._core = core
        self._memory = memory

    async def create(self, request: api.CreateBranchRequest) -> BranchView:
        """Make a branch deployment. Of one that is there, the code's version and the time of its end are taken anew.

        Raises:
            PreconditionError: It is being deleted, or the parent is a branch itself.
            ConflictError: It is there for another pool, or its name is that of a deployment that is no branch.
        """
        parent = request.deployment or DEFAULT
        refuse(rules.create_branch(request, parent=parent))
        wanted = _wanted(request, parent=parent, at=clock.now())
        async with self._core.database.write() as tx:
            await tx.exclusive(f"branch {wanted.deployment}")
            known = await branches.get(tx, parent=parent, name=request.name)
            if known is None:
                await _refuse_taken(tx, wanted)
                await _limit(tx, wanted, request)
                await branches.save(tx, wanted)
            else:
                await branches.save(tx, _renewed(known, wanted))
            view = (await _views(tx, [await _existing(tx, parent, request.name)]))[0]
        log.info("branch_wanted", branch=wanted.deployment, by=request.requested_by)
        self._core.hub.branches.ring()
        return view

    async def all_of(self, request: api.ListBranchesRequest) -> list[BranchView]:
        """Return the branch deployments of a deployment, by name."""
        refuse(optional_name(request.deployment, field="deployment"))
        async with self._core.database.read() as tx:
            return await _views(tx, await branches.all_of(tx, parent=request.deployment or DEFAULT))

    async def get(self, request: api.BranchRef) -> BranchView:
        """Return one branch deployment.

        Raises:
            NotFoundError: There is none of this name, or nothing is left of it.
        """
        refuse(rules.of_branch(request))
        async with self._core.database.read() as tx:
            return (await _views(tx, [await _existing(tx, request.deployment or DEFAULT, request.name)]))[0]

    async def delete(self, request: api.DeleteBranchRequest) -> BranchView:
        """Have a branch deployment deleted with all that is its own.

        Raises:
            NotFoundError: There is none of this name.
            PreconditionError: Runs live in it, and nobody said that they are to be ended.
        """
        refuse(rules.of_branch(request))
        parent = request.deployment or DEFAULT
        async with self._core.change_fleet() as tx:
            branch = await _existing(tx, parent, request.name)
            living = await branches.count_living_runs(tx, branch.deployment)
            if living and branch.deleting_at is None and not request.end_runs:
                raise _busy(branch, living=living)
            await begin_deletion(tx, branch, by=request.requested_by, memory=self._memory, at=clock.now())
            view = (await _views(tx, [await _existing(tx, parent, request.name)]))[0]
        log.info("branch_deletion_begun", branch=branch.deployment, by=request.requested_by)
        self._core.hub.outbox.ring()
        self._core.hub.fleet_changed()
        return view


def _wanted(request: api.CreateBranchRequest, *, parent: str, at: datetime) -> Branch:
    said = request.code_version.SerializeToString(deterministic=True) if request.HasField("code_version") else None
    return Branch(
        deployment=rules.deployment_of(parent, request.name),
        parent=parent,
        name=request.name,
        pool=request.pool,
        code_version=said,
        created_by=request.requested_by,
        created_at=at,
        expires_at=at + timedelta(seconds=request.expires_after_s) if request.expires_after_s else None,
    )


def _renewed(known: Branch, wanted: Branch) -> Branch:
    if known.deleting_at is not None:
        why = f"branch {known.name!r} is being deleted."
        remedy = f"Wait until it is gone, then make it anew: isthmus branch show {known.name}"
        raise PreconditionError(f"branches/{known.deployment}", rule="BRANCH_IS_DELETED", why=why, remedy=remedy)
    if known.pool != wanted.pool:
        raise ConflictError("branch", name=known.name, why=f"agents of {known.pool or 'all pools'} serve it")
    return replace(known, code_version=wanted.code_version, expires_at=wanted.expires_at)


async def _refuse_taken(tx: Transaction, wanted: Branch) -> None:
    if await branches.of_deployment(tx, wanted.parent) is not None:
        why = f"deployment {wanted.parent!r} is a branch itself, and its agents are another deployment's."
        remedy = "Name the deployment that it belongs to: isthmus --deployment NAME branch create …"
        raise PreconditionError(f"deployments/{wanted.parent}", rule="PARENT_IS_BRANCH", why=why, remedy=remedy)
    there = [
        *await agents.all_of(tx, deployment=wanted.deployment),
        *await locations.all_of(tx, deployment=wanted.deployment, with_removed=True),
    ]
    if there:
        raise ConflictError("deployment", name=wanted.deployment, why="it has agents or locations, and is no branch")


async def _limit(tx: WriteTransaction, wanted: Branch, request: api.CreateBranchRequest) -> None:
    if not request.HasField("max_runs"):
        return
    limits = api.QueueSettings(max_runs=request.max_runs)
    settings = NewSettings(
        body=limits.SerializeToString(deterministic=True),
        is_limiting=Rules.of(limits).is_limiting,
        changed_by=wanted.created_by,
        changed_at=wanted.created_at,
    )
    await queue_settings.save(tx, wanted.deployment, settings)


async def _existing(tx: Transaction, parent: str, name: str) -> Branch:
    branch = await branches.get(tx, parent=parent, name=name)
    if branch is None:
        hint = meant(name, known=[it.name for it in await branches.all_of(tx, parent=parent)])
        remedy = "All branch deployments: isthmus branch list"
        raise NotFoundError("branch", name=name, deployment=parent, hint=hint, remedy=remedy)
    return branch


async def _views(tx: Transaction, known: Sequence[Branch]) -> list[BranchView]:
    seen = await read(tx, known)
    return [await _view(tx, it, seen=seen) for it in known]


async def _view(tx: Transaction, branch: Branch, *, seen: Seen) -> BranchView:
    serving = [it.name for it in seen.serving(branch)]
    living = await branches.count_living_runs(tx, branch.deployment)
    return BranchView(branch, serving, living, waits_for(branch, seen=seen))


def _busy(branch: Branch, *, living: int) -> PreconditionError:
    runs = "1 run lives" if living == 1 else f"{living} runs live"
    return PreconditionError(
        f"branches/{branch.deployment}",
        rule="BRANCH_HAS_RUNS",
        why=f"{runs} in branch {branch.name!r}.",
        remedy=f"Wait for them, or end them: isthmus branch delete {branch.name} --end-runs",
    )
