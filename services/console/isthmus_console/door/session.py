"""Proofs that a browser belongs to somebody who has the token: tickets, sessions, and what forms carry. Pure.

Each is a few words and a code over them, made with a key of its own that comes from the token. So the console keeps no list
of sessions, a restarted one knows those of before, and another token ends them all. What is made for one purpose is no good
for another.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

#: How long a link that signs in is good, seconds: a person may come to it hours after it was printed.
TICKET_LIFETIME_S: Final = 24 * 3600.0
_DAY_S: Final = 86400


@dataclass(frozen=True)
class Session:
    """One browser that is signed in."""

    key: str
    #: What its forms carry.
    form_token: str


class Signer:
    """Makes proofs from a token, and tells which are its own."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def ticket(self, *, now_s: float) -> str:
        """Return what a link carries that signs its first user in."""
        return self._issue("ticket", until_s=now_s + TICKET_LIFETIME_S)

    def ticket_key(self, ticket: str, *, now_s: float) -> str | None:
        """Return what makes a ticket different from all others; None when it is none, or too old."""
        return self._read("ticket", ticket, now_s=now_s)

    def session(self, *, now_s: float, days: float) -> str:
        """Return the value of a new session's cookie."""
        return self._issue("session", until_s=now_s + days * _DAY_S)

    def read_session(self, cookie: str, *, now_s: float) -> Session | None:
        """Return the session of a cookie; None when it is none, or over."""
        key = self._read("session", cookie, now_s=now_s)
        return None if key is None else Session(key=key, form_token=self._code("form", key))

    def is_token(self, said: str) -> bool:
        """Tell whether somebody said the token itself."""
        return hmac.compare_digest(self._code("said", said.strip()), self._code("said", self._token.decode()))

    def _issue(self, purpose: str, *, until_s: float) -> str:
        words = f"{secrets.token_urlsafe(16)}.{int(until_s)}"
        return f"{words}.{self._code(purpose, words)}"

    def _read(self, purpose: str, proof: str, *, now_s: float) -> str | None:
        words, _, code = proof.rpartition(".")
        key, _, until = words.partition(".")
        if not hmac.compare_digest(code.encode(), self._code(purpose, words).encode()):
            return None
        return key if now_s < int(until) else None

    def _code(self, purpose: str, words: str) -> str:
        key = hmac.digest(self._token, f"isthmus console {purpose}".encode(), "sha256")
        return hmac.new(key, words.encode(), hashlib.sha256).hexdigest()


class Tickets:
    """Remembers which tickets were used, until they would be too old anyway."""

    def __init__(self) -> None:
        self._used: dict[str, float] = {}

    def use(self, key: str, *, now_s: float) -> bool:
        """Use a ticket; False when it was used before."""
        for old in [each for each, until_s in self._used.items() if until_s < now_s]:
            del self._used[old]
        if key in self._used:
            return False
        self._used[key] = now_s + TICKET_LIFETIME_S
        return True
