"""What one group of telemetry changes, decided as a whole before anything is written. Pure.

The shell loads what `Wanted` names, hands it in as `Known`, and writes the `Plan`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus_store.events import PlacedEvent
from isthmus_store.record.agent import Agent, AgentHeard
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.location import Placement
from isthmus_store.record.run import Attempt, AttemptRef, Run
from isthmus_store.snapshot_pieces import Piece
from isthmus_store.state import InstructionOutcome

from isthmus_monitor.news import (
    AgentKey,
    Bulletin,
    Reported,
    RunEvent,
    Settled,
)

#: The events that end a step for good.
_STEP_ENDS: Final = frozenset({"step_succeeded", "step_failed"})
#: Deployment, location and agent.
PlacementKey = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The rows that a group is about."""

    agents: frozenset[AgentKey]
    runs: frozenset[str]
    instructions: frozenset[str]
    placements: frozenset[PlacementKey]

    @classmethod
    def by(cls, bulletins: Iterable[Bulletin]) -> "Wanted":
        """Collect what the bulletins name; runs named by instructions' rows come on top."""
        agents, runs, instructions, placements = set(), set(), set(), set()
        for bulletin in bulletins:
            agents.add(bulletin.agent)
            for news in bulletin.news:
                match news:
                    case RunEvent():
                        runs.add(news.ref.run_id)
                    case Settled():
                        instructions.add(news.instruction_id)
                    case Reported():
                        placements.add((bulletin.agent[0], news.location, bulletin.agent[1]))
        return cls(
            agents=frozenset(agents),
            runs=frozenset(runs),
            instructions=frozenset(instructions),
            placements=frozenset(placements),
        )


@dataclass(frozen=True, kw_only=True)
class Known:
    """The rows of `Wanted` that exist."""

    agents: Mapping[AgentKey, Agent]
    instructions: Mapping[str, OutboxInstruction]
    runs: Mapping[str, Run]
    attempts: Mapping[AttemptRef, Attempt]
    placements: Mapping[PlacementKey, Placement]


@dataclass(kw_only=True)
class Plan:
    """What is to be written, told and remembered."""

    events: list[PlacedEvent] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    #: Tags that runs have besides those that they were given, by run id.
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    outcomes: dict[str, InstructionOutcome] = field(default_factory=dict)
    heard: dict[AgentKey, AgentHeard] = field(default_factory=dict)
    #: Agents that said good-bye after all else that they said.
    stopped: set[AgentKey] = field(default_factory=set)
    placements: dict[PlacementKey, Placement] = field(default_factory=dict)
    snapshots: dict[str, bytes] = field(default_factory=dict)
    #: Parts of snapshots, in the order in which they came.
    pieces: list[Piece] = field(default_factory=list)
    alerts: list[NewAlert] = field(default_factory=list)
    #: Runs that failed: alerts tell of them once it is known whether they are retried.
    failed: list[Run] = field(default_factory=list)
    #: Deployments in which steps gave slots of pools back by their ends; known once they are written.
    freed: set[str] = field(default_factory=set)
    #: Agents of which something changed that others wait for.
    changed_agents: set[AgentKey] = field(default_factory=set)
    #: Agents that themselves spoke.
    speakers: set[AgentKey] = field(default_factory=set)
    #: Attempts that someone vouched for, and the agent in whose name.
    vouched_by: set[tuple[AttemptRef, AgentKey]] = field(default_factory=set)
    #: What was dropped or odd, by why.
    tally: Counter[str] = field(default_factory=Counter)

    @property
    def ended_steps(self) -> set[tuple[AttemptRef, str]]:
        """Steps that came to their ends, each with its attempt: none of these is tried again."""
        return {
            (AttemptRef(it.run_id, it.attempt), it.event.step_key) for it in self.events if it.event.kind in _STEP_ENDS
        }

    @property
    def vouched(self) -> set[AttemptRef]:
        """Attempts that someone vouched for."""
        return {ref for ref, _ in self.vouched_by}
