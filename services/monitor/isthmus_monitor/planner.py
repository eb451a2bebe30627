"""Decides what bulletins change. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never

from isthmus_store.placements import reported
from isthmus_store.record.agent import Agent, AgentHeard
from isthmus_store.record.run import AttemptRef
from isthmus_store.snapshot_pieces import Piece
from isthmus_store.state import AgentState, LocationPhase, RunState

from isthmus_monitor import alert, result
from isthmus_monitor.ledger import Fate, Ledger
from isthmus_monitor.news import (
    AgentKey,
    Bulletin,
    Heartbeat,
    OtherNews,
    Reported,
    RunEvent,
    Settled,
    Stopped,
    Told,
    Unusable,
    Vouched,
)
from isthmus_monitor.plan import Known, Plan
from isthmus_monitor.provenance import doubt, may_say, speaks_for_runs_alone

#: How many former lives of an agent are remembered: more than can have words on their way.
MAX_FORMER: Final = 32


class Planner:
    """Turns bulletins, taken in their order, into a plan."""

    def __init__(self, known: Known, *, own_account: str, now: datetime) -> None:
        self._known = known
        self._own_account = own_account
        self._now = now
        self._agents = dict(known.agents)
        self._plan = Plan()
        self._ledger = Ledger(runs=known.runs, attempts=known.attempts, now=now)

    def take(self, bulletin: Bulletin) -> None:
        """Add what one batch changes, or count why it changes nothing."""
        why = doubt(bulletin, agent=self._agents.get(bulletin.agent), own_account=self._own_account)
        if why is not None:
            self._plan.tally[why] += 1
            return
        is_limited = speaks_for_runs_alone(bulletin, agent=self._agents[bulletin.agent])
        if bulletin.is_agent_itself and not is_limited and not self._is_superseded(bulletin):
            self._plan.speakers.add(bulletin.agent)
        for news in bulletin.news:
            if is_limited and not may_say(news):
                self._plan.tally["not_allowed"] += 1
                continue
            if isinstance(news, RunEvent):
                self._take_event(bulletin.agent, news)
            else:
                self._take_other(bulletin, news)

    def _take_other(self, bulletin: Bulletin, news: OtherNews) -> None:
        match news:
            case Vouched():
                self._vouch(bulletin.agent, news.refs)
            case Heartbeat() | Stopped() | Reported() if self._is_superseded(bulletin):
                # Its successor speaks for the agent, also where this one's words come late.
                self._plan.tally["superseded"] += 1
            case Heartbeat():
                self._take_heartbeat(bulletin, news)
            case Stopped():
                self._take_stop(bulletin)
            case Reported():
                self._take_report(bulletin.agent, news)
            case Told():
                self._take_piece(bulletin.agent, news)
            case Settled():
                self._take_result(bulletin.agent, news)
            case Unusable():
                self._plan.tally[news.why] += 1
            case _:
                assert_never(news)

    def plan(self) -> Plan:
        """Return what came of everything that was taken."""
        plan, ledger = self._plan, self._ledger
        plan.events = ledger.placed
        plan.positions = ledger.positions
        plan.runs = ledger.changed_runs
        plan.attempts = ledger.changed_attempts
        plan.tags = ledger.tags
        plan.vouched_by |= ledger.vouched
        # Of one that was believed lost, and then said better, there is nothing to follow.
        plan.failed = [it for it in ledger.ended if it.state is RunState.FAILED and it == ledger.run(it.run_id)]
        plan.alerts += [alert.run_recovered(run, at=self._now) for run in ledger.recovered]
        return plan

    def _take_event(self, agent: AgentKey, news: RunEvent) -> None:
        fate = self._ledger.take(agent, news)
        if fate is not Fate.STORED:
            self._plan.tally[fate.name.lower()] += 1

    def _take_heartbeat(self, bulletin: Bulletin, news: Heartbeat) -> None:
        before = self._agents[bulletin.agent]
        state = _state_after(before, incarnation=bulletin.incarnation, is_draining=news.is_draining)
        heard = AgentHeard(
            deployment=before.deployment,
            name=before.name,
            state=state,
            heard_at=self._now,
            started_at=news.started_at,
            incarnation=bulletin.incarnation,
            version=news.version,
            desired_revision=news.desired_revision,
            active_runs=news.active_runs,
            standbys=news.standbys,
            former_incarnations=_former_after(before, bulletin.incarnation),
            folder_id=news.folder_id or before.folder_id,
            folder_since=self._now if _has_new_folder(before, news.folder_id) else before.folder_since,
            load_timeout_s=news.load_timeout_s,
            branches=news.branches,
        )
        after = replace(
            before,
            state=state,
            incarnation=heard.incarnation,
            former_incarnations=heard.former_incarnations,
            version=heard.version,
            desired_revision=heard.desired_revision,
            standbys=heard.standbys,
            folder_id=heard.folder_id,
            folder_since=heard.folder_since,
            load_timeout_s=heard.load_timeout_s,
            branches=heard.branches,
        )
        if after != before:
            self._plan.changed_agents.add(bulletin.agent)
        self._agents[bulletin.agent] = after
        self._plan.heard[bulletin.agent] = heard
        self._plan.stopped.discard(bulletin.agent)
        self._vouch(bulletin.agent, news.active_runs)

    def _vouch(self, agent: AgentKey, refs: Iterable[AttemptRef]) -> None:
        self._plan.vouched_by.update((ref, agent) for ref in refs)

    def _is_superseded(self, bulletin: Bulletin) -> bool:
        agent = self._agents[bulletin.agent]
        # Of two lives of which the later one is lost, the other may have its place back.
        return bulletin.incarnation in agent.former_incarnations and agent.state is not AgentState.LOST

    def _take_stop(self, bulletin: Bulletin) -> None:
        agent = self._agents[bulletin.agent]
        if agent.incarnation not in {"", bulletin.incarnation} or agent.state is AgentState.STOPPED:
            # Its successor has been heard already.
            return
        self._agents[bulletin.agent] = replace(agent, state=AgentState.STOPPED)
        self._plan.stopped.add(bulletin.agent)
        self._plan.speakers.discard(bulletin.agent)
        self._plan.changed_agents.add(bulletin.agent)

    def _take_report(self, agent: AgentKey, news: Reported) -> None:
        key = (agent[0], news.location, agent[1])
        before = self._plan.placements.get(key) or self._known.placements.get(key)
        if before is None:
            self._plan.tally["not_placed"] += 1
            return
        after = reported(before, news.report)
        self._plan.placements[key] = after
        if news.snapshot:
            self._plan.snapshots[news.report.snapshot_hash] = news.snapshot
        has_failed = after.phase is LocationPhase.FAILED
        if has_failed and (before.phase, before.generation) != (after.phase, after.generation):
            self._plan.alerts.append(alert.location_failed(after, at=self._now))

    def _take_piece(self, agent: AgentKey, news: Told) -> None:
        deployment, name = agent
        piece = Piece(
            deployment=deployment,
            agent=name,
            snapshot_hash=news.snapshot_hash,
            index=news.index,
            count=news.count,
            body=news.body,
        )
        self._plan.pieces.append(piece)

    def _take_result(self, agent: AgentKey, news: Settled) -> None:
        instruction = self._known.instructions.get(news.instruction_id)
        if instruction is None or (instruction.deployment, instruction.agent) != agent:
            self._plan.tally["unknown_instruction"] += 1
            return
        if instruction.settled_at is None:
            # The first word counts: a redelivered instruction may be answered twice.
            self._plan.outcomes.setdefault(news.instruction_id, news.outcome)
        if instruction.run_id:
            result.apply(self._ledger, instruction, news, now=self._now)


def _state_after(agent: Agent, *, incarnation: str, is_draining: bool) -> AgentState:
    """Return what a heartbeat makes of an agent's state.

    Whoever was told to drain stays so until it is restarted, also while it has not read that yet.
    """
    was_told = agent.state is AgentState.DRAINING and agent.incarnation in {"", incarnation}
    return AgentState.DRAINING if is_draining or was_told else AgentState.ONLINE


def _former_after(agent: Agent, incarnation: str) -> tuple[str, ...]:
    """Return the lives that count no more once one is heard: whoever holds the agent's queue speaks for the agent."""
    former = tuple(it for it in agent.former_incarnations if it != incarnation)
    if not agent.incarnation or agent.incarnation == incarnation:
        return former
    return (*former, agent.incarnation)[-MAX_FORMER:]


def _has_new_folder(agent: Agent, folder_id: str) -> bool:
    """Tell whether an agent has lost what it remembered: another of its name, with a folder of its own, took over."""
    return bool(agent.folder_id and folder_id) and agent.folder_id != folder_id
