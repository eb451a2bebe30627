"""What a message says, for people and for programs. Pure."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from isthmus_store.record.alert import AlertGroup, NewAlert

from isthmus_control_plane.alerting.fact import Fact
from isthmus_control_plane.alerting.grouping import TOGETHER

#: So many facts of a message are told one by one; the others are counted.
MOST_SAMPLES: Final = 10
#: Characters of a fact's text.
_MOST_TEXT: Final = 1_000
#: Names of what several kinds tell together.
MANY: Final = "many"


def sample(fact: Fact) -> str:
    """Return a fact as it is kept until it is told."""
    return json.dumps(
        {
            "kind": fact.kind,
            "topic": fact.topic,
            "text": fact.text[:_MOST_TEXT],
            "at": fact.at.isoformat(),
            "data": {"deployment": fact.deployment, **fact.data},
        },
        ensure_ascii=False,
    )


def with_sample(samples: str, fact: Fact) -> str:
    """Return kept facts with one more, if there is room."""
    known: list[Any] = json.loads(samples)
    if len(known) >= MOST_SAMPLES:
        return samples
    return json.dumps([*known, json.loads(sample(fact))], ensure_ascii=False)


def told(group: AlertGroup, *, at: datetime, is_muted: bool = False) -> NewAlert:
    """Make the message of what was gathered."""
    facts: list[Mapping[str, Any]] = json.loads(group.samples)
    kind = group.kind if group.dedup != TOGETHER else MANY
    key = f"{group.deployment}/{group.policy}/{group.dedup}/{group.is_over}/{group.opened_at.isoformat()}"
    payload = {
        "type": kind,
        "timestamp": at.isoformat(),
        "policy": group.policy,
        "action": "resolve" if group.is_over else "trigger",
        "dedup": group.dedup,
        "title": _title(group, facts),
        "text": _text(group, facts),
        "count": group.facts,
        "facts": facts,
        "data": facts[0]["data"] if facts else {},
        **({"muted": True} if is_muted else {}),
    }
    return NewAlert(
        id=str(uuid5(NAMESPACE_URL, f"isthmus:alert:{key}")),
        kind=kind,
        deployment=group.deployment,
        subject=group.subject,
        payload=json.dumps(payload, ensure_ascii=False),
        created_at=at,
        policy=group.policy,
        dedup=group.dedup,
        facts=group.facts,
    )


def _title(group: AlertGroup, facts: list[Mapping[str, Any]]) -> str:
    if group.dedup == TOGETHER:
        what = "things are over" if group.is_over else "more things happened"
        return f"{group.facts} {what} that policy {group.policy} tells"
    topic = facts[0]["topic"] if facts else group.kind
    head = f"Over: {topic}" if group.is_over else topic
    return head if group.facts == 1 else f"{head} ({group.facts} times)"


def _text(group: AlertGroup, facts: list[Mapping[str, Any]]) -> str:
    lines = [_line(fact, is_topic_told=group.dedup != TOGETHER) for fact in facts]
    more = group.facts - len(facts)
    return "\n".join([*filter(None, lines), *([f"… and {more} more."] if more > 0 else [])])


def _line(fact: Mapping[str, Any], *, is_topic_told: bool) -> str:
    parts = [] if is_topic_told else [fact["topic"]]
    return ": ".join([*parts, *filter(None, [fact["text"]])])
