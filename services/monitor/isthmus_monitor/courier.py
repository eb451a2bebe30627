"""Brings one alert to one receiver over HTTP."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

import aiohttp

from isthmus_monitor.errors import WebhookError
from isthmus_monitor.posting import Posting
from isthmus_monitor.way import proxy_of

#: Seconds that a receiver has to answer.
TIMEOUT_S: Final = 15.0

_GONE: Final = 410
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Courier:
    """Keeps the connections to receivers. An async context manager."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None
        await self._stack.__aexit__(kind, error, trace)

    async def post(self, posting: Posting) -> None:
        """Send an alert once.

        Raises:
            WebhookError: it was not taken.
        """
        if self._session is None:
            raise WebhookError(detail="the courier was not entered")
        try:
            # No redirects: what is signed for one receiver is not for whoever it points to.
            async with self._session.post(
                posting.url,
                data=posting.body.encode(),
                headers=posting.headers,
                allow_redirects=False,
                proxy=proxy_of(posting.url),
            ) as answer:
                _check(answer)
        except TimeoutError as exc:
            raise WebhookError(detail=f"no answer within {TIMEOUT_S:.0f} s") from exc
        except aiohttp.ClientError as exc:
            # The type alone: the text may quote the address.
            raise WebhookError(detail=type(exc).__name__) from exc


def _check(answer: aiohttp.ClientResponse) -> None:
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own ranges
        elsewhere = ", and points elsewhere, which is not followed" if answer.status in _REDIRECTS else ""
        raise WebhookError(
            detail=f"it answered {answer.status}{elsewhere}",
            is_final=answer.status == _GONE,
            retry_after_s=_seconds(answer.headers.get("retry-after")),
        )


def _seconds(retry_after: str | None) -> float:
    """Return the patience that a receiver asks for, as seconds or as a date; what is neither asks for none."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    aware = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
