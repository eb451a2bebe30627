"""The run state machine: a table of single moves, and properties over any sequence of signals."""

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_store.record.run import Violation
from isthmus_store.signal import (
    Accepted,
    AgentGone,
    Canceled,
    CancelRequested,
    Dispatched,
    Failed,
    LaunchExpired,
    LaunchRefused,
    LeaseExpired,
    NotRunning,
    RunSignal,
    Started,
    Succeeded,
    TimedOut,
)
from isthmus_store.state import TERMINAL_STATES, RunReason, RunState
from isthmus_store.transition import RunFacts, Verdict, transition

Q, D, S, R, C = RunState.QUEUED, RunState.DISPATCHED, RunState.STARTING, RunState.RUNNING, RunState.CANCELING
OK, BAD, OFF = RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED

FACTS = {
    "queued": RunFacts(state=Q, attempt=1),
    "dispatched": RunFacts(state=D, attempt=1, agent="lab"),
    "starting": RunFacts(state=S, attempt=1, agent="lab", is_accepted=True),
    "running": RunFacts(state=R, attempt=1, agent="lab", is_accepted=True, is_started=True),
    "canceling unseen": RunFacts(state=C, attempt=1, agent="lab"),
    "canceling": RunFacts(state=C, attempt=1, agent="lab", is_accepted=True, is_started=True),
}
SIGNALS: dict[str, RunSignal] = {
    "dispatch": Dispatched(attempt=1, agent="lab"),
    "accept": Accepted(attempt=1),
    "start": Started(attempt=1),
    "succeed": Succeeded(attempt=1),
    "fail": Failed(attempt=1, reason=RunReason.USER_ERROR),
    "cancel": Canceled(attempt=1),
    "ask": CancelRequested(requested_by="ann"),
    "absent": NotRunning(attempt=1),
    "refuse": LaunchRefused(attempt=1, reason=RunReason.LOCATION_UNAVAILABLE),
    "tombstone": LaunchRefused(attempt=1, reason=RunReason.CANCELED_BY_REQUEST),
    "expire": LaunchExpired(attempt=1),
    "lease": LeaseExpired(attempt=1),
    "silence": AgentGone(attempt=1),
}
NO = None
# fmt: off
MOVES: dict[str, tuple[RunState | None, ...]] = {
    #            queued dispatched starting running canceling-unseen canceling
    "dispatch":  (D,    NO,        NO,      NO,     NO,              NO),
    "accept":    (S,    S,         NO,      NO,     C,               NO),
    "start":     (R,    R,         R,       NO,     C,               NO),
    "succeed":   (OK,   OK,        OK,      OK,     OK,              OK),
    "fail":      (BAD,  BAD,       BAD,     BAD,    BAD,             BAD),
    "cancel":    (OFF,  OFF,       OFF,     OFF,    OFF,             OFF),
    "ask":       (OFF,  C,         C,       C,      NO,              NO),
    "absent":    (NO,   NO,        NO,      NO,     OFF,             NO),
    "refuse":    (BAD,  BAD,       NO,      NO,     OFF,             NO),
    "tombstone": (OFF,  OFF,       NO,      NO,     OFF,             NO),
    "expire":    (BAD,  BAD,       NO,      NO,     OFF,             NO),
    "lease":     (NO,   NO,        BAD,     BAD,    NO,              BAD),
    "silence":   (NO,   NO,        BAD,     BAD,    NO,              BAD),
}
# fmt: on
TABLE = [
    pytest.param(FACTS[facts], SIGNALS[signal], state, id=f"{facts}-{signal}")
    for signal, states in MOVES.items()
    for facts, state in zip(FACTS, states, strict=True)
]


@pytest.mark.parametrize(("run", "signal", "state"), TABLE)
def test_each_signal_moves_each_state_as_the_table_says(
    run: RunFacts, signal: RunSignal, state: RunState | None
) -> None:
    decision = transition(run, signal)
    assert decision.is_change == (state is not None)
    assert decision.facts == run if state is None else decision.facts.state is state


@pytest.mark.parametrize("end", sorted(TERMINAL_STATES))
@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_a_terminal_state_is_never_left(end: RunState, signal: RunSignal) -> None:
    run = RunFacts(state=end, attempt=1, reason=RunReason.USER_ERROR, message="kept")
    decision = transition(run, signal)
    assert (decision.facts, decision.verdict) == (run, Verdict.TOO_LATE)


LOST = [RunReason.WORKER_LOST, RunReason.AGENT_LOST]


@pytest.mark.parametrize("reason", LOST)
def test_a_late_success_brings_back_a_run_that_was_only_believed_lost(reason: RunReason) -> None:
    lost = RunFacts(state=BAD, attempt=2, agent="lab", is_accepted=True, reason=reason, message="gone", failure=b"f")
    back = transition(lost, Succeeded(attempt=2))
    assert back.verdict is Verdict.APPLIED
    assert back.facts == RunFacts(state=OK, attempt=2, agent="lab", is_accepted=True)
    assert transition(back.facts, Succeeded(attempt=2)).verdict is Verdict.TOO_LATE


@pytest.mark.parametrize("reason", sorted(set(RunReason) - set(LOST)))
def test_a_failure_that_was_seen_stays(reason: RunReason) -> None:
    failed = RunFacts(state=BAD, attempt=1, is_accepted=True, reason=reason)
    assert transition(failed, Succeeded(attempt=1)).verdict is Verdict.TOO_LATE


@pytest.mark.parametrize("reason", LOST)
@pytest.mark.parametrize("signal", [name for name in SIGNALS if name != "succeed"])
def test_nothing_but_success_brings_a_lost_run_back(reason: RunReason, signal: str) -> None:
    lost = RunFacts(state=BAD, attempt=1, is_accepted=True, reason=reason)
    assert transition(lost, SIGNALS[signal]).verdict is Verdict.TOO_LATE


@given(
    st.lists(st.sampled_from(list(SIGNALS.values())), max_size=12),
    st.sampled_from([LeaseExpired(attempt=1), AgentGone(attempt=1)]),
    st.integers(min_value=0, max_value=3),
)
def test_of_several_attempts_the_later_one_wins(earlier: list[RunSignal], loss: RunSignal, attempt: int) -> None:
    run = FACTS["running"]
    for signal in (*earlier, loss):
        run = transition(run, signal).facts
    after = transition(run, Succeeded(attempt=attempt))
    assert after.is_change <= (attempt == run.attempt)
    if after.is_change:
        assert after.facts.state is OK
        assert run.reason in {RunReason.UNSPECIFIED, *LOST}


@pytest.mark.parametrize("facts", FACTS)
def test_another_attempt_changes_nothing(facts: str) -> None:
    run = FACTS[facts]
    for signal in (
        Accepted(attempt=0),
        Succeeded(attempt=2),
        LeaseExpired(attempt=0),
        Dispatched(attempt=0, agent="x"),
    ):
        decision = transition(run, signal)
        assert (decision.facts, decision.verdict) == (run, Verdict.OTHER_ATTEMPT)


def test_a_launch_given_to_another_agent_is_a_new_attempt() -> None:
    again = transition(FACTS["dispatched"], Dispatched(attempt=2, agent="barn"))
    assert again.facts == RunFacts(state=D, attempt=2, agent="barn")
    assert transition(again.facts, Succeeded(attempt=1)).verdict is Verdict.OTHER_ATTEMPT
    late = transition(FACTS["running"], Dispatched(attempt=2, agent="barn"))
    assert late.verdict is Verdict.OTHER_ATTEMPT


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (LeaseExpired(attempt=1), RunReason.WORKER_LOST),
        (AgentGone(attempt=1), RunReason.AGENT_LOST),
        (Failed(attempt=1, reason=RunReason.OUT_OF_MEMORY), RunReason.OUT_OF_MEMORY),
        (Canceled(attempt=1, reason=RunReason.CODE_SERVER_STOPPED), RunReason.CODE_SERVER_STOPPED),
    ],
)
def test_an_end_has_its_reason(signal: RunSignal, reason: RunReason) -> None:
    assert transition(FACTS["running"], signal).facts.reason is reason


def test_a_launch_nobody_took_is_a_start_timeout() -> None:
    assert transition(FACTS["dispatched"], LaunchExpired(attempt=1)).facts.reason is RunReason.START_TIMEOUT


def test_a_refusal_keeps_what_it_says() -> None:
    violations = (Violation(field="job_name", description="unknown"),)
    refusal = LaunchRefused(
        attempt=1, reason=RunReason.INVALID_REQUEST, message="1 fault", failure=b"f", violations=violations
    )
    end = transition(FACTS["dispatched"], refusal).facts
    assert (end.reason, end.message, end.failure, end.violations) == (
        RunReason.INVALID_REQUEST,
        "1 fault",
        b"f",
        violations,
    )


def test_who_asked_for_the_end_is_told_and_progress_does_not_wipe_it() -> None:
    asked = transition(FACTS["dispatched"], CancelRequested(requested_by="ann")).facts
    assert asked.message == "Cancellation was requested by ann."
    started = transition(asked, Started(attempt=1)).facts
    assert (started.state, started.message) == (C, asked.message)
    assert transition(FACTS["queued"], CancelRequested()).facts.message == "Canceled before it was dispatched."


# -------------------------------------------------------------------------------------------------------- properties

LAST_WORDS: dict[RunState, RunSignal] = {
    OK: Succeeded(attempt=1),
    BAD: Failed(attempt=1, reason=RunReason.USER_ERROR),
    OFF: Canceled(attempt=1),
}


@pytest.mark.parametrize("end", LAST_WORDS)
def test_a_run_s_own_words_lead_to_one_end_in_any_order(end: RunState) -> None:
    words: list[RunSignal] = [
        Dispatched(attempt=1, agent="lab"),
        Accepted(attempt=1),
        Started(attempt=1),
        LAST_WORDS[end],
    ]
    for order in permutations(words):
        run = FACTS["queued"]
        for signal in order:
            run = transition(run, signal).facts
        assert run.state is end


@given(
    end=st.sampled_from(sorted(LAST_WORDS)),
    extra=st.lists(st.sampled_from(["accept", "start", "ask", "refuse", "expire", "dispatch"])),
    shuffler=st.randoms(use_true_random=False),
)
def test_once_it_was_seen_to_run_its_own_last_word_decides(end: RunState, extra: list[str], shuffler: Random) -> None:
    signals = [LAST_WORDS[end], *(SIGNALS[name] for name in extra)]
    shuffler.shuffle(signals)
    run = FACTS["starting"]
    for signal in signals:
        run = transition(run, signal).facts
    assert run.state is end


ANY_SIGNAL = st.one_of(
    st.sampled_from(sorted(SIGNALS)).map(lambda name: SIGNALS[name]),
    st.builds(Dispatched, attempt=st.integers(0, 3), agent=st.sampled_from(["lab", "barn"])),
    st.builds(Started, attempt=st.integers(0, 3)),
    st.builds(Succeeded, attempt=st.integers(0, 3)),
    st.builds(LeaseExpired, attempt=st.integers(0, 3)),
    st.builds(
        TimedOut,
        attempt=st.integers(0, 3),
        reason=st.sampled_from([RunReason.START_TIMEOUT, RunReason.MAX_RUNTIME]),
        message=st.just("too long"),
    ),
)


def is_brought_back(run: RunFacts, signal: RunSignal) -> bool:
    """Whether the attempt itself tells of its success after it was believed to be lost: the one way out of an end."""
    is_believed_lost = run.reason in {RunReason.WORKER_LOST, RunReason.AGENT_LOST}
    return is_believed_lost and isinstance(signal, Succeeded) and signal.attempt == run.attempt


@given(st.lists(ANY_SIGNAL, max_size=30))
def test_any_sequence_moves_only_forward_and_ends_for_good(signals: list[RunSignal]) -> None:
    run = FACTS["queued"]
    for signal in signals:
        decision = transition(run, signal)
        after = decision.facts
        assert (after.attempt, after.state.rank) >= (run.attempt, run.state.rank)
        assert decision.is_change == (after != run)
        if run.state.is_terminal and not is_brought_back(run, signal):
            assert after == run
        if after.state.is_terminal and after.state is not OK:
            assert after.reason is not RunReason.UNSPECIFIED
        run = after


@given(st.lists(ANY_SIGNAL, max_size=15))
def test_repeating_every_signal_changes_nothing(signals: list[RunSignal]) -> None:
    once = twice = FACTS["queued"]
    for signal in signals:
        once = transition(once, signal).facts
        twice = transition(transition(twice, signal).facts, signal).facts
        assert twice.state is once.state


TOO_LONG = TimedOut(attempt=1, reason=RunReason.MAX_RUNTIME, message="too long")
TOO_LATE = TimedOut(attempt=1, reason=RunReason.START_TIMEOUT, message="too late")


@pytest.mark.parametrize(
    ("facts", "signals", "ends_as", "reason"),
    [
        ("running", [TOO_LONG, Canceled(attempt=1)], BAD, RunReason.MAX_RUNTIME),
        ("dispatched", [TOO_LATE, NotRunning(attempt=1)], BAD, RunReason.START_TIMEOUT),
        ("dispatched", [TOO_LATE, SIGNALS["tombstone"]], BAD, RunReason.START_TIMEOUT),
        ("dispatched", [TOO_LATE, LaunchExpired(attempt=1)], BAD, RunReason.START_TIMEOUT),
        ("starting", [TOO_LATE, Started(attempt=1), Canceled(attempt=1)], BAD, RunReason.START_TIMEOUT),
        # What ended by itself meanwhile is believed.
        ("running", [TOO_LONG, Succeeded(attempt=1)], OK, RunReason.UNSPECIFIED),
        ("running", [TOO_LONG, SIGNALS["fail"]], BAD, RunReason.USER_ERROR),
        ("running", [TOO_LONG, SIGNALS["lease"]], BAD, RunReason.WORKER_LOST),
        # What somebody wants goes over the clock, whichever came first.
        ("running", [TOO_LONG, SIGNALS["ask"], Canceled(attempt=1)], OFF, RunReason.CANCELED_BY_REQUEST),
        ("running", [SIGNALS["ask"], TOO_LONG, Canceled(attempt=1)], OFF, RunReason.CANCELED_BY_REQUEST),
    ],
)
def test_a_run_that_takes_too_long_fails_when_its_process_is_gone(
    facts: str, signals: list[RunSignal], ends_as: RunState, reason: RunReason
) -> None:
    run = FACTS[facts]
    for signal in signals:
        assert not run.state.is_terminal
        run = transition(run, signal).facts
    assert (run.state, run.reason) == (ends_as, reason)
    assert run.message.startswith("too l") == (reason in {RunReason.MAX_RUNTIME, RunReason.START_TIMEOUT})


def test_a_run_that_has_begun_does_not_begin_too_late() -> None:
    assert transition(FACTS["running"], TOO_LATE).verdict is Verdict.CONTRADICTED
    assert transition(FACTS["queued"], TOO_LONG).verdict is Verdict.CONTRADICTED


def test_a_lost_run_that_is_followed_stays_lost() -> None:
    lost = transition(FACTS["running"], SIGNALS["lease"]).facts
    assert transition(lost, SIGNALS["succeed"]).facts.state is OK
    assert transition(replace(lost, is_followed=True), SIGNALS["succeed"]).verdict is Verdict.TOO_LATE
