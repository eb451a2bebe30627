"""Signing, retrying, and the settings that name receivers."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_lifecycle.settings import SettingsError
from isthmus_monitor.errors import WebhookError
from isthmus_monitor.settings import load_settings
from isthmus_monitor.webhook import Webhook, headers_of, next_attempt_at, sign
from isthmus_store.record.alert import AlertDelivery
from pydantic import ValidationError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FAILED = WebhookError(detail="it answered 500")


def delivery(*, tries: int = 0, age: timedelta = timedelta()) -> AlertDelivery:
    return AlertDelivery(
        alert_id="a1",
        endpoint="e",
        kind="run.failed",
        deployment="prod",
        subject="r1",
        payload="{}",
        created_at=NOW - age,
        next_attempt_at=NOW,
        tries=tries,
        delivered_at=None,
        gave_up_at=None,
        last_error="",
    )


def test_the_signature_is_the_one_that_the_scheme_publishes() -> None:
    # The example of the Standard Webhooks specification's reference libraries.
    signature = sign(
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body='{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_try_has_the_same_id_and_its_own_time() -> None:
    first = headers_of(delivery(), secret="s", now=NOW)
    second = headers_of(delivery(tries=1), secret="s", now=NOW + timedelta(seconds=9))
    assert first["webhook-id"] == second["webhook-id"] == "a1"
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 9
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize(
    ("tries", "jitter", "wait_s"),
    [(0, 0.0, 2.5), (0, 1.0, 5.0), (3, 1.0, 40.0), (12, 1.0, 3600.0), (5_000, 0.0, 1800.0)],
)
def test_waits_double_up_to_an_hour(tries: int, jitter: float, wait_s: float) -> None:
    assert next_attempt_at(delivery(tries=tries), FAILED, now=NOW, jitter=jitter) == NOW + timedelta(seconds=wait_s)


def test_a_delivery_is_given_up_after_a_day_or_when_the_receiver_says_so() -> None:
    assert next_attempt_at(delivery(age=timedelta(hours=24)), FAILED, now=NOW, jitter=0) is None
    assert next_attempt_at(delivery(), WebhookError(detail="410", is_final=True), now=NOW, jitter=0) is None


@pytest.mark.parametrize(("asked_s", "wait_s"), [(1.0, 5.0), (120.0, 120.0), (1e9, 3600.0)])
def test_a_receiver_may_ask_for_more_patience_but_not_without_end(asked_s: float, wait_s: float) -> None:
    error = WebhookError(detail="it answered 429", retry_after_s=asked_s)
    assert next_attempt_at(delivery(), error, now=NOW, jitter=1) == NOW + timedelta(seconds=wait_s)


@given(tries=st.integers(0, 10_000), jitter=st.floats(0, 1), age_s=st.integers(0, 100_000))
def test_the_next_try_lies_ahead_and_within_the_day(tries: int, jitter: float, age_s: int) -> None:
    one = delivery(tries=tries, age=timedelta(seconds=age_s))
    at = next_attempt_at(one, FAILED, now=NOW, jitter=jitter)
    if at is not None:
        assert NOW < at < one.created_at + timedelta(hours=24)


def webhook(**changes: object) -> Webhook:
    return Webhook.model_validate({"url": "https://example.org/hook", "secret": "plain", **changes})


def test_a_receiver_wants_all_kinds_unless_it_names_some() -> None:
    assert webhook().wants("run.failed")
    assert webhook(kinds=["run.failed"]).wants("run.failed")
    assert not webhook(kinds=["run.failed"]).wants("agent.lost")


def test_a_receiver_s_key_tells_nothing_of_its_address() -> None:
    one = webhook(url="https://example.org/hook?token=abc")
    assert "abc" not in one.endpoint
    assert one.endpoint != webhook().endpoint
    assert one.endpoint == webhook(url="https://example.org/hook?token=abc", secret="rotated").endpoint


@pytest.mark.parametrize(
    "changes", [{"kinds": ["run.filed"]}, {"secret": ""}, {"secret": "whsec_?"}, {"url": "no"}, {"extra": 1}]
)
def test_a_receiver_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        webhook(**changes)


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ISTHMUS_BROKER_URL", "amqp://guest:guest@host/")
    monkeypatch.setenv("ISTHMUS_DATABASE_URL", "sqlite:///x.db")
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ISTHMUS_MONITOR_LEASE_TTL_S", "12.5")
    environment.setenv("ISTHMUS_MONITOR_SHARDS", "4")
    environment.setenv("ISTHMUS_MONITOR_WEBHOOKS", json.dumps([{"url": "https://example.org", "secret": "s3cret"}]))
    settings = load_settings()
    assert (settings.patience.lease_ttl_s, settings.shards, len(settings.webhooks)) == (12.5, 4, 1)
    assert settings.broker.user == "guest"
    assert "s3cret" not in repr(settings)
    assert "guest:guest" not in repr(settings)


def test_everything_that_is_missing_is_named_with_what_to_do(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("ISTHMUS_BROKER_URL")
    environment.delenv("ISTHMUS_DATABASE_URL")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "ISTHMUS_BROKER_URL is not set: set it to RabbitMQ's address" in str(caught.value)
    assert "ISTHMUS_DATABASE_URL is not set: set it to the control plane's database" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("ISTHMUS_MONITOR_SHARDS", "0", "ISTHMUS_MONITOR_SHARDS is not usable: Input should be greater than"),
        ("ISTHMUS_MONITOR_LEASE_TTL_S", "soon", "ISTHMUS_MONITOR_LEASE_TTL_S is not usable"),
        ("ISTHMUS_MONITOR_WEBHOOKS", "nonsense", "ISTHMUS_MONITOR_WEBHOOKS is not usable: it is not JSON"),
        ("ISTHMUS_MONITOR_WEBHOOKS", '[{"url": "https://x.org"}]', "ISTHMUS_MONITOR_WEBHOOKS[0].secret is not usable"),
        (
            "ISTHMUS_MONITOR_WEBHOOKS",
            '[{"url": "https://x.org", "secret": "s", "kinds": ["no"]}]',
            "ISTHMUS_MONITOR_WEBHOOKS[0].kinds is not usable: no such alert kind: no; there are agent.lost",
        ),
        ("ISTHMUS_MONITOR_AGENT_GONE_AFTER_S", "1", "runs would be given up before their agent"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    environment: pytest.MonkeyPatch, variable: str, value: str, fault: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert fault in str(caught.value)
