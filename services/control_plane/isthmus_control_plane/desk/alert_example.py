"""The example by which a policy is tried out. Pure."""

import json
from datetime import datetime

from isthmus_store.record.alert import NewAlert


def example(policy: str, *, deployment: str, by: str, key: str, at: datetime) -> NewAlert:
    """Make a message that says of itself that it is an example."""
    title = f"[Test] Example of alert policy {policy}"
    text = f"Nothing has happened. {by or 'Somebody'} tries out whether alerts of policy {policy} arrive."
    payload = {
        "type": "test",
        "timestamp": at.isoformat(),
        "policy": policy,
        "action": "trigger",
        "dedup": key,
        "title": title,
        "text": text,
        "count": 1,
        "facts": [],
        "data": {"deployment": deployment, "requested_by": by},
        "test": True,
    }
    return NewAlert(
        id=key,
        kind="test",
        deployment=deployment,
        subject=policy,
        payload=json.dumps(payload, ensure_ascii=False),
        created_at=at,
        policy=policy,
        # Kept apart from what is counted as told of the policy's subjects.
        dedup=key,
    )
