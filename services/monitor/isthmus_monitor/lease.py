"""Who is alive, by what was heard: leases of attempts and the silence of agents. Pure; all times are monotonic seconds.

An attempt is vouched for by its own events, its code server's heartbeats and its agent's. Only time in which the monitor
could hear counts: after any deafness everything is granted anew.
"""

from dataclasses import dataclass
from enum import Enum, auto

from isthmus_store.record.run import AttemptRef

from isthmus_monitor.news import AgentKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long silence is borne, in seconds."""

    #: Of an attempt, while its agent is heard.
    lease_ttl_s: float = 30.0
    #: Of an agent, before it counts as lost.
    agent_lost_after_s: float = 30.0
    #: Of an agent and everyone else who could vouch, before its runs are given up.
    agent_gone_after_s: float = 900.0


class Verdict(Enum):
    """Why a lease ended."""

    WORKER_LOST = auto()
    AGENT_GONE = auto()


@dataclass(frozen=True, slots=True)
class Expiry:
    """An attempt that nobody vouches for any more."""

    ref: AttemptRef
    agent: AgentKey
    verdict: Verdict


@dataclass(slots=True)
class _Lease:
    agent: AgentKey
    renewed_at: float
    #: Vouched for by someone since the last note.
    is_noteworthy: bool = False


class LeaseTable:
    """Leases of attempts that were accepted and have not ended, and when each agent was last heard."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._leases: dict[AttemptRef, _Lease] = {}
        self._heard_at: dict[AgentKey, float] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, ref: AttemptRef) -> bool:
        return ref in self._leases

    def grant(self, ref: AttemptRef, *, agent: AgentKey, now: float) -> None:
        """Hold a lease for an attempt of the agent, from now."""
        self._leases[ref] = _Lease(agent, now)

    def holder(self, ref: AttemptRef) -> AgentKey | None:
        """Return the agent whose attempt it is; None when it has no lease."""
        lease = self._leases.get(ref)
        return None if lease is None else lease.agent

    def renew(self, ref: AttemptRef, *, now: float) -> None:
        """Renew the attempt's lease, if it has one."""
        lease = self._leases.get(ref)
        if lease is not None:
            lease.renewed_at = now
            lease.is_noteworthy = True

    def take_noteworthy(self) -> list[AttemptRef]:
        """Return the attempts that were vouched for since the last call."""
        found = [ref for ref, lease in self._leases.items() if lease.is_noteworthy]
        for ref in found:
            self._leases[ref].is_noteworthy = False
        return found

    def release(self, ref: AttemptRef) -> None:
        """Forget the attempt: it has ended."""
        self._leases.pop(ref, None)

    def hear(self, agent: AgentKey, *, now: float) -> None:
        """Note that the agent itself spoke.

        After a silence, what its runs did meanwhile may still be on its way: their leases start anew.
        """
        last = self._heard_at.get(agent)
        self._heard_at[agent] = now
        if last is None or now - last >= self._patience.agent_lost_after_s:
            self._regrant(agent, now)

    def expects(self, agent: AgentKey) -> bool:
        """Tell whether the agent's silence is counted."""
        return agent in self._heard_at

    def expect(self, agent: AgentKey, *, now: float) -> None:
        """Count the agent's silence from now."""
        self._heard_at[agent] = now

    def forget(self, agent: AgentKey) -> None:
        """Stop waiting for the agent: it said good-bye, or is no more."""
        self._heard_at.pop(agent, None)

    def restart(self, *, now: float) -> None:
        """Count all silence from now: until now nothing could be heard."""
        for lease in self._leases.values():
            lease.renewed_at = now
        for agent in self._heard_at:
            self._heard_at[agent] = now

    def expired(self, *, now: float) -> list[Expiry]:
        """Return the attempts that are to be given up. They stay in the table until they are released."""
        found = []
        for ref, lease in self._leases.items():
            verdict = self._judge(lease, now)
            if verdict is not None:
                found.append(Expiry(ref, lease.agent, verdict))
        return found

    def silent(self, *, now: float) -> list[AgentKey]:
        """Return the agents that were silent for too long."""
        limit = self._patience.agent_lost_after_s
        return [agent for agent, heard_at in self._heard_at.items() if now - heard_at >= limit]

    def _judge(self, lease: _Lease, now: float) -> Verdict | None:
        unvouched_s = now - lease.renewed_at
        heard_at = self._heard_at.get(lease.agent)
        # Heard after the lease ran out, not merely not yet silent: its next heartbeat might have vouched.
        is_heard = heard_at is not None and heard_at >= lease.renewed_at + self._patience.lease_ttl_s
        if is_heard and unvouched_s >= self._patience.lease_ttl_s:
            return Verdict.WORKER_LOST
        silent_s = unvouched_s if heard_at is None else now - heard_at
        if min(unvouched_s, silent_s) >= self._patience.agent_gone_after_s:
            return Verdict.AGENT_GONE
        return None

    def _regrant(self, agent: AgentKey, now: float) -> None:
        for lease in self._leases.values():
            if lease.agent == agent:
                lease.renewed_at = max(lease.renewed_at, now)
