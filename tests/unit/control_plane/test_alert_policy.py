"""Which facts a policy tells, when it is quiet, and into how few messages a storm goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import control_plane_pb2 as api
from isthmus_control_plane.alerting.fact import Fact
from isthmus_control_plane.alerting.grouping import MOST_SUBJECTS, TOGETHER, Gathered
from isthmus_control_plane.alerting.policy import Policy
from isthmus_control_plane.trail import Trail
from isthmus_control_plane.validation import alert_kind as kinds
from isthmus_control_plane.validation import alerts as rules
from isthmus_store.record.alert import AlertGroup, AlertPolicyRow

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TO = [api.AlertReceiver(webhook=api.WebhookReceiver(url="https://hooks.example/x"))]


def policy(**said: Any) -> Policy:
    message = api.AlertPolicy(name="p", to=TO, **said)
    row = AlertPolicyRow(
        deployment="prod", name="p", revision=1, body=message.SerializeToString(), changed_by="", changed_at=NOW
    )
    return Policy.of(row, now=NOW)


def fact(kind: str = kinds.RUN_FAILED, **said: Any) -> Fact:
    return Fact(**{"kind": kind, "deployment": "prod", "subject": "s", "topic": "t", "at": NOW, **said})


RUN: dict[str, Any] = {"job": "nightly", "location": "etl", "tags": {"team": "data"}}
ASSET: dict[str, Any] = {"asset": ("raw", "orders"), "location": "etl"}


@pytest.mark.parametrize(
    ("said", "about", "is_told"),
    [
        ({"on": ["run.failed"]}, fact(**RUN), True),
        ({"on": ["run.succeeded"]}, fact(**RUN), False),
        ({"on": ["run.failed"]}, fact(**RUN, deployment="other"), False),
        ({"on": ["run.failed"], "jobs": ["nightly"]}, fact(**RUN), True),
        ({"on": ["run.failed"], "jobs": ["night*", "x"]}, fact(**RUN), True),
        ({"on": ["run.failed"], "jobs": ["night"]}, fact(**RUN), False),
        ({"on": ["run.failed"], "jobs": ["n.ghtly"]}, fact(**RUN), False),
        ({"on": ["run.failed"], "locations": ["other"]}, fact(**RUN), False),
        ({"on": ["run.failed"], "tags": {"team": "data"}}, fact(**RUN), True),
        ({"on": ["run.failed"], "tags": {"team": ""}}, fact(**RUN), True),
        ({"on": ["run.failed"], "tags": {"team": "web"}}, fact(**RUN), False),
        ({"on": ["run.failed"], "tags": {"tier": ""}}, fact(**RUN), False),
        # A filter restricts the kinds that have such a name.
        ({"on": ["run.failed", "agent.lost"], "jobs": ["x"]}, fact(kinds.AGENT_LOST, agent="lab"), True),
        ({"on": ["agent.lost"], "agents": ["lab"]}, fact(kinds.AGENT_LOST, agent="barn"), False),
        ({"on": ["asset.failed"], "assets": "group:raw"}, fact(kinds.ASSET_FAILED, **ASSET), True),
        ({"on": ["asset.failed"], "assets": "group:raw"}, fact(kinds.ASSET_FAILED, asset=("other",)), False),
        ({"on": ["run.long"], "longer_than_s": 60}, fact(kinds.RUN_LONG, value=60, **RUN), False),
        ({"on": ["run.long"], "longer_than_s": 60}, fact(kinds.RUN_LONG, value=60.5, **RUN), True),
        ({"on": ["queue.deep"], "deeper_than": 10}, fact(kinds.QUEUE_DEEP, value=10), False),
        ({"on": ["queue.deep"], "deeper_than": 10}, fact(kinds.QUEUE_DEEP, value=11), True),
        ({"on": ["schedule.failed"]}, fact(kinds.SCHEDULE_FAILED, value=1, schedule="daily"), True),
        ({"on": ["schedule.failed"], "after": 3}, fact(kinds.SCHEDULE_FAILED, value=2, schedule="daily"), False),
        ({"on": ["sensor.failed"], "sensors": ["a*"]}, fact(kinds.SENSOR_FAILED, value=1, sensor="bee"), False),
        ({"on": ["disk.low"]}, fact(kinds.DISK_LOW, value=9.9), True),
        ({"on": ["disk.low"], "below_percent": 5}, fact(kinds.DISK_LOW, value=9.9), False),
    ],
)
def test_a_policy_tells_what_it_asks_for(said: dict[str, Any], about: Fact, *, is_told: bool) -> None:
    chosen = frozenset({("raw", "orders")}) if "assets" in said else None
    assert policy(**said).wants(about, assets=chosen) is is_told


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2030-01-01T20:59+00:00", None),
        # 22:00 in Berlin is 21:00 of UTC in winter.
        ("2030-01-01T21:00+00:00", "2030-01-02T06:00+00:00"),
        ("2030-01-02T05:59+00:00", "2030-01-02T06:00+00:00"),
        ("2030-01-02T06:00+00:00", None),
        # The hours begin on Tuesdays alone: 2030-01-01 is one.
        ("2030-01-02T21:00+00:00", None),
    ],
)
def test_quiet_hours_are_those_of_their_zone_and_of_the_days_on_which_they_begin(now: str, until: str | None) -> None:
    hours = api.QuietHours(until="07:00", timezone="Europe/Berlin", days=["tue"], **{"from": "22:00"})
    quiet = policy(on=["run.failed"], quiet=hours).pace.quiet
    assert quiet is not None
    assert quiet.until(datetime.fromisoformat(now)) == (datetime.fromisoformat(until) if until else None)


def sent(facts: list[tuple[float, str]], *, said: dict[str, Any] | None = None) -> list[tuple[str, float, int]]:
    """Live through failures (second, subject) second by second; returns messages with their times and counts."""
    pace = policy(on=["run.failed"], **(said or {})).pace
    gathered: dict[tuple[str, int], AlertGroup] = {}
    told: list[tuple[str, datetime]] = []
    messages = []
    last = max(at for at, _ in facts) + 700
    waiting = sorted(facts)
    second = 0.0
    while second <= last:
        now = NOW + timedelta(seconds=second)
        while waiting and waiting[0][0] <= second:
            _, subject = waiting.pop(0)
            lately = [(it, at) for it, at in told if at > now - pace.every]
            place = Gathered(gathered=gathered, told=lately, pace=pace, now=now).place(subject)
            before = gathered.get((place.dedup, 0))
            gathered[place.dedup, 0] = AlertGroup(
                deployment="prod", policy="p", dedup=place.dedup, is_over=0, kind="run.failed", subject="", samples="[]",
                facts=before.facts + 1 if before else 1,
                opened_at=before.opened_at if before else now,
                due_at=place.due_at,
            )  # fmt: skip
        for key, group in list(gathered.items()):
            if group.due_at <= now:
                del gathered[key]
                told.append((group.dedup, now))
                messages.append((group.dedup, second, group.facts))
        second += 1
    assert not gathered
    assert sum(count for _, _, count in messages) == len(facts)
    return messages


def test_one_failure_is_told_within_seconds() -> None:
    assert sent([(0, "a")]) == [("a", 5, 1)]


def test_a_hundred_failures_of_one_job_are_one_message_with_a_count() -> None:
    assert sent([(number * 0.2, "a") for number in range(100)]) == [("a", 25, 100)]


def test_a_storm_of_a_thousand_failures_is_at_most_five_messages() -> None:
    of_many_jobs = sent([(number * 0.06, f"job {number}") for number in range(1_000)])
    assert len(of_many_jobs) <= 5
    assert {about for about, _, _ in of_many_jobs} == {"job 0", "job 1", "job 2", TOGETHER}
    of_one_job = sent([(number * 0.2, "a") for number in range(1_000)])
    assert len(of_one_job) <= 5


@given(st.lists(st.tuples(st.integers(0, 290), st.sampled_from("abcdefgh")), min_size=1, max_size=60))
def test_within_the_time_between_messages_few_are_sent_and_none_is_lost(facts: list[tuple[float, str]]) -> None:
    messages = sent(facts)
    assert len([at for _, at, _ in messages if at <= 290]) <= MOST_SUBJECTS + 2


def test_events_that_show_up_late_are_looked_for_and_given_up_in_the_end() -> None:
    trail = Trail(10)
    trail.read_on([11, 14], now=NOW)
    assert (trail.at, trail.floor, sorted(trail.missing)) == (14, 11, [12, 13])
    trail.caught_up([12], now=NOW)
    assert (trail.floor, sorted(trail.missing)) == (12, [13])
    trail.caught_up([], now=NOW + timedelta(minutes=2))
    assert (trail.floor, list(trail.missing)) == (14, [])


SOUND: dict[str, Any] = {"name": "p", "on": ["run.failed"], "to": TO}


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"name": "No"}, "name", "must be 1 to 63"),
        ({"on": []}, "on", "is missing"),
        ({"on": ["run.faild"]}, "on[0]", "did you mean 'run.failed'"),
        ({"on": ["backfill.stalled"]}, "longer_than", "is missing: backfill.stalled need it"),
        ({"agents": ["lab"]}, "agents", "restricts none of the kinds"),
        ({"on": ["run.long"]}, "longer_than", "run.long need it"),
        ({"after": 3}, "after", "is of no use"),
        ({"renotify_s": 60}, "renotify", "none of the kinds of the policy lasts"),
        ({"quiet": api.QuietHours(until="7", **{"from": "22:00"})}, "quiet.until", "time of the day"),
        ({"quiet": api.QuietHours(until="07:00", timezone="Mars", **{"from": "22:00"})}, "quiet.timezone", "Mars"),
        ({"to": []}, "to", "at least one receiver"),
        ({"to": [api.AlertReceiver()]}, "to[0]", "must be one of"),
        ({"to": [api.AlertReceiver(apprise="slack")]}, "to[0].apprise", "must be an address"),
        (
            {"to": [api.AlertReceiver(webhook=api.WebhookReceiver(url="ftp://x"))]},
            "to[0].webhook.url",
            "must begin with http:// or https://",
        ),
        (
            {"to": [api.AlertReceiver(webhook=api.WebhookReceiver(url="https://x/${ISTHMUS_BROKER_URL}"))]},
            "to[0].webhook.url",
            "begin with ISTHMUS_ALERT_",
        ),
    ],
)
def test_what_a_policy_cannot_say_is_refused_by_its_field(said: dict[str, Any], field: str, words: str) -> None:
    faults = rules.policy(api.AlertPolicy(**{**SOUND, **said}), at="policies[0]")
    assert [it.field for it in faults] == [f"policies[0].{field}"]
    assert words in faults[0].description


def test_a_sound_policy_has_no_faults() -> None:
    assert rules.policy(api.AlertPolicy(**SOUND), at="policies[0]") == []
