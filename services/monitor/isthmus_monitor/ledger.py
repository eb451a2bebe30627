"""The runs that one group of telemetry is about: where each event goes, and what it makes of its run. Pure.

Holds copies of the rows that the transaction locked, and changes only those; the shell writes what came of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto

from isthmus_store.events import PlacedEvent
from isthmus_store.record.event import NewEvent
from isthmus_store.record.run import Attempt, AttemptRef, Run
from isthmus_store.runs import advanced, facts
from isthmus_store.signal import Canceled, RunSignal, Started
from isthmus_store.state import TIMEOUTS, RunState
from isthmus_store.transition import Decision, transition

from isthmus_monitor import history
from isthmus_monitor.news import AgentKey, RunEvent


def _told(run: Run, news: RunEvent) -> NewEvent:
    """Return what is stored of an event: of a run that is ended for its time, the end is a failure."""
    if not isinstance(news.signal, Canceled):
        return news.event
    is_timed_out = run.state is RunState.CANCELING and run.reason in TIMEOUTS and news.ref.attempt == run.attempt
    return history.timed_out(run, news.event) if is_timed_out else news.event


class Fate(Enum):
    """What became of an event."""

    STORED = auto()
    #: Stored, though events before it never came.
    STORED_AFTER_GAP = auto()
    DUPLICATE = auto()
    UNKNOWN_RUN = auto()
    #: The attempt is another agent's, or was never given to anyone.
    FOREIGN = auto()


class Ledger:
    """The books of one group."""

    def __init__(self, *, runs: Mapping[str, Run], attempts: Mapping[AttemptRef, Attempt], now: datetime) -> None:
        self._runs = dict(runs)
        self._attempts = dict(attempts)
        self._now = now
        self._positions = {run_id: run.last_position for run_id, run in runs.items()}
        self._changed_runs: set[str] = set()
        self._changed_attempts: set[AttemptRef] = set()
        #: To be inserted, in this order.
        self.placed: list[PlacedEvent] = []
        #: Runs that ended in this group.
        self.ended: list[Run] = []
        #: Runs that were believed lost, and whose attempt said in this group that it had succeeded.
        self.recovered: list[Run] = []
        #: Attempts that were heard of, and their agents.
        self.vouched: set[tuple[AttemptRef, AgentKey]] = set()
        #: The tags that runs told at their start, by run id.
        self.tags: dict[str, dict[str, str]] = {}

    def run(self, run_id: str) -> Run | None:
        """Return the run as it stands now, if it exists."""
        return self._runs.get(run_id)

    def take(self, agent: AgentKey, news: RunEvent) -> Fate:
        """Put an event into its run's history, unless it is there already or not this agent's to tell."""
        run = self._runs.get(news.ref.run_id)
        if run is None:
            return Fate.UNKNOWN_RUN
        attempt = self._attempt(run, news.ref)
        if attempt is None or (run.deployment, attempt.agent) != agent:
            return Fate.FOREIGN
        seq = news.event.seq
        if seq <= attempt.last_seq:
            return Fate.DUPLICATE
        self._attempts[news.ref] = replace(attempt, last_seq=seq)
        self._changed_attempts.add(news.ref)
        self._place(run.run_id, news.ref.attempt, _told(run, news))
        self.vouched.add((news.ref, agent))
        if news.tags:
            self.tags[run.run_id] = dict(news.tags)
        if news.signal is not None:
            self.signal(run.run_id, news.signal, occurred_at=news.event.occurred_at)
        return Fate.STORED if seq == attempt.last_seq + 1 else Fate.STORED_AFTER_GAP

    def signal(self, run_id: str, signal: RunSignal, *, occurred_at: datetime | None = None) -> Decision | None:
        """Apply a signal to a run; None when there is no such run."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        decision = transition(facts(run), signal)
        if decision.is_change:
            started_at = occurred_at if isinstance(signal, Started) else None
            changed = advanced(run, decision.facts, at=self._now, started_at=started_at)
            self._runs[run_id] = changed
            self._changed_runs.add(run_id)
            if run.state.is_terminal:
                self.recovered.append(changed)
            if changed.state.is_terminal:
                self.ended.append(changed)
        return decision

    def tell(self, run_id: str, event: NewEvent) -> None:
        """Append an event of the monitor's own to a run's history."""
        self._place(run_id, self._runs[run_id].attempt, event)

    @property
    def changed_runs(self) -> list[Run]:
        """Runs to be saved, in the order of their ids."""
        return [self._runs[run_id] for run_id in sorted(self._changed_runs)]

    @property
    def changed_attempts(self) -> list[Attempt]:
        """Attempts to be saved, in order."""
        return [self._attempts[ref] for ref in sorted(self._changed_attempts)]

    @property
    def positions(self) -> dict[str, int]:
        """Where the histories end that grew, by run id."""
        return {placed.run_id: self._positions[placed.run_id] for placed in self.placed}

    def _place(self, run_id: str, attempt: int, event: NewEvent) -> None:
        self._positions[run_id] += 1
        self.placed.append(PlacedEvent(run_id, self._positions[run_id], attempt, event))

    def _attempt(self, run: Run, ref: AttemptRef) -> Attempt | None:
        known = self._attempts.get(ref)
        if known is not None or ref.attempt != run.attempt or not run.agent:
            return known
        return Attempt(run_id=ref.run_id, attempt=ref.attempt, agent=run.agent, last_seq=0)
