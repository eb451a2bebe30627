"""Which failures are done again, and when."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1.control_plane_pb2 import QueueSettings, RunRetries
from isthmus_store.retry.policy import (
    MOST_BACKOFF_S,
    Failure,
    FailureClass,
    NoRetry,
    Retry,
    RetryRules,
    Strategy,
    class_of,
    decide,
    may_be_retried,
)
from isthmus_store.state import RunReason

TWICE = {"dagster/max_retries": "2"}


def failure(
    reason: RunReason = RunReason.PROCESS_KILLED,
    *,
    tags: Mapping[str, str] | None = None,
    is_of_step: bool = False,
    group_size: int = 1,
) -> Failure:
    return Failure(reason=reason, is_of_step=is_of_step, tags=tags or {}, group_size=group_size)


def test_nothing_is_retried_that_nobody_asked_to_retry() -> None:
    assert decide(failure(), rules=RetryRules()) == NoRetry("")


@pytest.mark.parametrize(
    ("tags", "rules", "is_retried"),
    [
        (TWICE, RetryRules(), True),
        ({}, RetryRules(max_retries=1), True),
        ({"dagster/max_retries": "0"}, RetryRules(max_retries=1), False),
        ({"dagster/max_retries": "often"}, RetryRules(max_retries=1), False),
        (TWICE, RetryRules(is_enabled=False, max_retries=5), False),
        ({}, RetryRules(by_class={"worker": 1}), True),
        ({}, RetryRules(by_class={"step": 1}), False),
        ({}, RetryRules(max_retries=3, by_class={"worker": 0}), False),
        # What the run itself says goes over all that its deployment says.
        (TWICE, RetryRules(by_class={"worker": 0}), True),
    ],
)
def test_tags_go_over_the_deployments_rules(tags: Mapping[str, str], rules: RetryRules, *, is_retried: bool) -> None:
    assert isinstance(decide(failure(tags=tags), rules=rules), Retry) is is_retried


def test_runs_of_the_group_count_whoever_asked_for_them() -> None:
    decisions = [decide(failure(tags=TWICE, group_size=size), rules=RetryRules()) for size in (1, 2, 3)]
    assert [it.number if isinstance(it, Retry) else it for it in decisions] == [
        1,
        2,
        NoRetry("2 of 2 retries were made"),
    ]


@pytest.mark.parametrize(
    ("tag", "rule", "is_retried"),
    [("", True, True), ("", False, False), ("false", True, False), ("true", False, True), ("no", True, False)],
)
def test_a_failed_step_may_be_left_to_the_steps_own_retries(tag: str, *, rule: bool, is_retried: bool) -> None:
    tags = TWICE | ({"dagster/retry_on_asset_or_op_failure": tag} if tag else {})
    rules = RetryRules(on_step_failure=rule)
    of_step = decide(failure(RunReason.USER_ERROR, tags=tags, is_of_step=True), rules=rules)
    assert isinstance(of_step, Retry) is is_retried
    # What failed outside the steps is another matter.
    assert isinstance(decide(failure(RunReason.USER_ERROR, tags=tags), rules=rules), Retry)


@pytest.mark.parametrize("reason", [RunReason.INVALID_REQUEST, RunReason.REFUSED_BY_POLICY, RunReason.UNSUPPORTED])
def test_what_is_refused_is_not_asked_again(reason: RunReason) -> None:
    assert isinstance(decide(failure(reason, tags=TWICE), rules=RetryRules()), NoRetry)


@pytest.mark.parametrize("said", ["ALL_STEPS", "FROM_FAILURE", "from_failure", ""])
def test_the_strategy_is_the_tags_or_from_the_failure(said: str) -> None:
    decision = decide(failure(tags=TWICE | {"dagster/retry_strategy": said}), rules=RetryRules())
    assert isinstance(decision, Retry)
    assert decision.strategy is (Strategy.ALL_STEPS if said == "ALL_STEPS" else Strategy.FROM_FAILURE)


@pytest.mark.parametrize(
    ("tag", "rules", "pauses"),
    [
        ("", RetryRules(), [0, 0, 0]),
        ("", RetryRules(backoff_s=10), [10, 20, 40]),
        ("", RetryRules(backoff_s=10, max_backoff_s=15), [10, 15, 15]),
        ("1.5", RetryRules(backoff_s=10), [1.5, 3, 6]),
        ("0", RetryRules(backoff_s=10), [0, 0, 0]),
        ("-3", RetryRules(backoff_s=10), [0, 0, 0]),
        ("nan", RetryRules(backoff_s=10), [0, 0, 0]),
        ("soon", RetryRules(backoff_s=10), [10, 20, 40]),
    ],
)
def test_pauses_double(tag: str, rules: RetryRules, pauses: list[float]) -> None:
    tags = {"dagster/max_retries": "9"} | ({"isthmus/retry_backoff_s": tag} if tag else {})
    decisions = [decide(failure(tags=tags, group_size=size), rules=rules) for size in (1, 2, 3)]
    assert [it.pause_s for it in decisions if isinstance(it, Retry)] == pauses


@pytest.mark.parametrize("reason", RunReason)
def test_each_reason_has_a_class(reason: RunReason) -> None:
    assert class_of(reason, is_of_step=False) in FailureClass


def test_rules_are_read_from_the_deployments_document() -> None:
    said = RunRetries(max_retries=3, retry_on_asset_or_op_failure=False, by_class={"worker": 5}, backoff_s=2)
    read = RetryRules.parse(QueueSettings(run_retries=said).SerializeToString())
    assert read == RetryRules(max_retries=3, on_step_failure=False, by_class={"worker": 5}, backoff_s=2)
    assert RetryRules.parse(b"") == RetryRules()


TAGS = st.dictionaries(
    st.sampled_from(
        [
            "dagster/max_retries",
            "dagster/retry_strategy",
            "dagster/retry_on_asset_or_op_failure",
            "isthmus/retry_backoff_s",
        ]
    ),
    st.one_of(st.text(max_size=8), st.integers().map(str), st.floats().map(str)),
)
FAILURES = st.builds(
    Failure,
    reason=st.sampled_from(RunReason),
    is_of_step=st.booleans(),
    tags=TAGS,
    group_size=st.integers(1, 50),
)
RULES = st.builds(
    RetryRules,
    is_enabled=st.booleans(),
    max_retries=st.integers(0, 100),
    on_step_failure=st.booleans(),
    by_class=st.dictionaries(st.sampled_from([it.value for it in FailureClass]), st.integers(0, 100)),
    backoff_s=st.floats(),
    max_backoff_s=st.floats(),
)


@given(FAILURES, RULES)
def test_a_group_never_outgrows_what_was_asked_for(failed: Failure, rules: RetryRules) -> None:
    decision = decide(failed, rules=rules)
    if isinstance(decision, NoRetry):
        return
    assert rules.is_enabled
    assert may_be_retried(failed.tags, rules=rules)
    assert 1 <= decision.number == failed.group_size <= decision.most
    assert 0 <= decision.pause_s <= MOST_BACKOFF_S
