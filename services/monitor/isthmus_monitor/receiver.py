"""Receivers of alerts, whichever way they are reached, and how one alert is written for each. Pure but for the environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

from isthmus.v1.control_plane_pb2 import AlertReceiver
from isthmus_store.record.alert import AlertDelivery

from isthmus_monitor.errors import WebhookError
from isthmus_monitor.posting import Posting
from isthmus_monitor.template import body_of, filled_in
from isthmus_monitor.webhook import Webhook, headers_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """What another process is to send: see `messenger`. It may hold secrets."""

    said: Mapping[str, Any] = field(repr=False)


def written(
    receiver: Webhook | AlertReceiver, delivery: AlertDelivery, *, environment: Mapping[str, str], now: datetime
) -> Posting | Errand:
    """Write an alert for a receiver.

    Raises:
        WebhookError: A variable that the receiver names is not set.
    """
    match receiver:
        case Webhook():
            headers = headers_of(delivery, secret=receiver.secret.get_secret_value(), now=now)
            return Posting(url=str(receiver.url), body=delivery.payload, headers=headers)
        case AlertReceiver():
            return _of_policy(receiver, delivery, environment=environment, now=now)
        case _:
            assert_never(receiver)


def _of_policy(
    receiver: AlertReceiver, delivery: AlertDelivery, *, environment: Mapping[str, str], now: datetime
) -> Posting | Errand:
    match receiver.WhichOneof("kind"):
        case "webhook":
            return _posting(receiver, delivery, environment=environment, now=now)
        case "email":
            mail = receiver.email
            said = {
                "way": "email",
                "server": filled_in(mail.server, environment),
                "from": getattr(mail, "from"),
                "to": list(mail.to),
            }
            return Errand(said={**said, **_words(delivery)})
        case "apprise":
            address = filled_in(receiver.apprise, environment)
            return Errand(said={"way": "apprise", "address": address, **_words(delivery)})
        case _:
            raise WebhookError(detail="this monitor is too old for the receiver: update it", is_final=True)


def _posting(
    receiver: AlertReceiver, delivery: AlertDelivery, *, environment: Mapping[str, str], now: datetime
) -> Posting:
    hook = receiver.webhook
    # The policy's own text first: what an alert quotes, as a run's error, must not name variables of this process.
    body = body_of(filled_in(hook.body, environment), delivery.payload)
    secret = filled_in(hook.secret, environment)
    signed = headers_of(delivery, secret=secret, now=now, body=body) if secret else {}
    headers = {"content-type": "application/json", "webhook-id": delivery.alert_id, **signed}
    headers |= {name.lower(): filled_in(value, environment) for name, value in hook.headers.items()}
    return Posting(url=filled_in(hook.url, environment), body=body, headers=headers)


def _words(delivery: AlertDelivery) -> dict[str, Any]:
    alert: Mapping[str, Any] = json.loads(delivery.payload)
    return {
        "id": delivery.alert_id,
        "title": alert.get("title", delivery.kind),
        "text": alert.get("text", ""),
        "action": alert.get("action", "trigger"),
        "deployment": delivery.deployment,
        "policy": delivery.policy,
    }
