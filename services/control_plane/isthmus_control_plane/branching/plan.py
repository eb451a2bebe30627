"""What is to be done about branch deployments, and what the deletion of one waits for. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus_store.record.agent import Agent
from isthmus_store.record.branch import Branch

from isthmus_control_plane.key import AgentKey


@dataclass(frozen=True, slots=True)
class Seen:
    """Branch deployments and agents of one moment."""

    branches: Sequence[Branch]
    agents: Mapping[AgentKey, Agent]
    #: How many runs have not ended, of those that are being deleted.
    living: Mapping[str, int]
    #: Deployments with backfills that have not ended.
    backfilled: frozenset[str] = frozenset()

    def serving(self, branch: Branch) -> list[Agent]:
        """Return the agents of a branch, by name: each is one of the parent's, under the same name."""
        return [it for key, it in sorted(self.agents.items()) if key.deployment == branch.deployment]

    def of_parent(self, branch: Branch) -> list[Agent]:
        """Return the parent's agents, by name."""
        return [it for key, it in sorted(self.agents.items()) if key.deployment == branch.parent]

    def holders(self, branch: Branch) -> list[Agent]:
        """Return the parent's agents that keep something of a branch, or were not yet heard to have let go of it.

        An agent says in one breath up to which revision it knows what it is to hold, and of which branches it keeps anything.
        """
        serving = {it.name for it in self.serving(branch)}
        return [it for it in self.of_parent(branch) if _may_hold(it, branch, is_serving=it.name in serving)]


@dataclass(frozen=True, slots=True)
class Expire:
    """The time of a branch is over: it is to be deleted."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class Join:
    """An agent of the parent is to serve a branch."""

    branch: Branch
    agent: Agent


@dataclass(frozen=True, slots=True)
class Leave:
    """An agent serves a branch no more: the parent's of its name is gone."""

    branch: Branch
    agent: Agent


@dataclass(frozen=True, slots=True)
class EndRuns:
    """A branch that is being deleted has runs that have not ended."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class Release:
    """Of a branch that is being deleted no run is left: its agents may let go of it."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class Remove:
    """No agent keeps anything of a branch: its queues and rows may go."""

    branch: Branch


Step = Expire | Join | Leave | EndRuns | Release | Remove


def plan(seen: Seen, *, at: datetime) -> list[Step]:
    """List what is due."""
    return [step for branch in seen.branches for step in _steps(branch, seen=seen, at=at)]


def waits_for(branch: Branch, *, seen: Seen) -> str:
    """Tell what the deletion of a branch waits for; empty for one that is not deleted."""
    if branch.deleting_at is None:
        return ""
    if living := seen.living.get(branch.deployment, 0):
        return f"{living} {'run' if living == 1 else 'runs'} to end"
    if branch.deployment in seen.backfilled:
        return "its backfills to end"
    if branch.released_at is None:
        return "its agents to be told"
    holders = [f"{it.name} ({it.state.value})" for it in seen.holders(branch)]
    return f"{', '.join(holders)} to let go of it" if holders else "its queues and rows to be removed"


def _steps(branch: Branch, *, seen: Seen, at: datetime) -> list[Step]:
    if branch.deleting_at is None:
        is_over = branch.expires_at is not None and branch.expires_at <= at
        return [Expire(branch)] if is_over else _comings_and_goings(branch, seen=seen)
    if branch.released_at is None and seen.living.get(branch.deployment):
        return [EndRuns(branch)]
    if branch.released_at is None:
        # A backfill ends by itself once its runs have.
        return [] if branch.deployment in seen.backfilled else [Release(branch)]
    return [] if seen.holders(branch) else [Remove(branch)]


def _comings_and_goings(branch: Branch, *, seen: Seen) -> list[Step]:
    serving = {it.name: it for it in seen.serving(branch)}
    parents = seen.of_parent(branch)
    wanted = [it for it in parents if it.name in serving or branch.pool in {"", it.pool}]
    joins: list[Step] = [Join(branch, it) for it in wanted if not _is_same(it, serving.get(it.name))]
    there = {it.name for it in parents}
    return joins + [Leave(branch, it) for name, it in serving.items() if name not in there]


def _is_same(agent: Agent, serving: Agent | None) -> bool:
    """Tell whether an agent serves a branch as it is now: of the same pool, and with the same accounts."""
    return serving is not None and _identity(agent) == _identity(serving)


def _identity(agent: Agent) -> tuple[str, str, str]:
    return agent.pool, agent.broker_user, agent.code_server_broker_user


def _may_hold(agent: Agent, branch: Branch, *, is_serving: bool) -> bool:
    if branch.deployment in agent.branches:
        return True
    # One that was never heard was told nothing yet; what it is told first does not name the branch any more.
    was_told = bool(agent.incarnation) and is_serving
    return was_told and agent.desired_revision < agent.sync_revision
