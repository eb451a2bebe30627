"""Receivers of alerts: signing by the Standard Webhooks scheme (https://www.standardwebhooks.com), and when to retry. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from isthmus_store.record.alert import AlertDelivery
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator

from isthmus_monitor.alert import KINDS
from isthmus_monitor.errors import WebhookError

#: First wait after a failed try, seconds; it doubles with each up to the longest.
FIRST_WAIT_S: Final = 5.0
LONGEST_WAIT_S: Final = 3600.0
#: A delivery that failed for this long is given up.
GIVE_UP_AFTER: Final = timedelta(hours=24)

_BASE64_PREFIX: Final = "whsec_"


class Webhook(BaseModel):
    """A receiver of alerts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Where alerts are posted to.
    url: HttpUrl
    #: What alerts are signed with: "whsec_" and base64, or plain text.
    secret: SecretStr
    #: Which alerts it gets; empty for all.
    kinds: frozenset[str] = Field(default_factory=frozenset)

    @field_validator("kinds")
    @classmethod
    def _are_known(cls, kinds: frozenset[str]) -> frozenset[str]:
        unknown = sorted(kinds - KINDS)
        if unknown:
            message = f"no such alert kind: {', '.join(unknown)}; there are {', '.join(sorted(KINDS))}"
            raise ValueError(message)
        return kinds

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: SecretStr) -> SecretStr:
        if not _key(secret.get_secret_value()):
            message = "the secret is empty"
            raise ValueError(message)
        return secret

    @property
    def endpoint(self) -> str:
        """The receiver's key in the store: its address may carry secrets, and is not kept there."""
        return hashlib.sha256(str(self.url).encode()).hexdigest()[:32]

    def wants(self, kind: str) -> bool:
        """Tell whether the receiver gets alerts of this kind."""
        return not self.kinds or kind in self.kinds


def sign(*, secret: str, message_id: str, timestamp: int, body: str) -> str:
    """Return the value of the header webhook-signature."""
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def headers_of(delivery: AlertDelivery, *, secret: str, now: datetime, body: str | None = None) -> Mapping[str, str]:
    """Return a delivery's headers; the id stays the same over all tries, so that a receiver can tell repeats.

    Without `body`, what is sent is the alert's payload.
    """
    timestamp = int(now.timestamp())
    sent = delivery.payload if body is None else body
    signature = sign(secret=secret, message_id=delivery.alert_id, timestamp=timestamp, body=sent)
    return {
        "content-type": "application/json",
        "webhook-id": delivery.alert_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }


def next_attempt_at(delivery: AlertDelivery, error: WebhookError, *, now: datetime, jitter: float) -> datetime | None:
    """Return when to try again after this failure; None to give up.

    Args:
        delivery: as it was before the failed try.
        error: the failure.
        now: the time of it.
        jitter: from 0 to 1; spreads receivers that failed together over the second half of the wait.
    """
    if error.is_final:
        return None
    step = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(delivery.tries, 30))
    wait = max(step * (0.5 + jitter / 2), min(error.retry_after_s, LONGEST_WAIT_S))
    at = now + timedelta(seconds=wait)
    return at if at - delivery.created_at < GIVE_UP_AFTER else None


def _key(secret: str) -> bytes:
    if not secret.startswith(_BASE64_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_BASE64_PREFIX), validate=True)
    except ValueError:
        message = "what follows whsec_ is not base64"
        raise ValueError(message) from None
