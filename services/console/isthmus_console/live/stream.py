"""The one stream of events that an open page has: what it is told, how often it hears that all is well, and how it ends.

A page opens it anew when it breaks, and says what it heard last. So a stream may end at any time, and nothing is lost by it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from isthmus_client.errors import ClientError, TransientError
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.leaves import leaves
from sse_starlette import EventSourceResponse, ServerSentEvent

from isthmus_console.errors import ConsoleError
from isthmus_console.site import Site

T = TypeVar("T")

#: Tells the page something.
Tell = Callable[[ServerSentEvent], Awaitable[None]]
#: Tells a page all that it is to hear, until there is nothing more.
Work = Callable[[Tell], Awaitable[None]]

#: How often a page hears that it is still connected, seconds. It takes twice as long for a sign that it is not.
_BEAT_S: Final = 5
#: Messages that are told together at the most, and how long the first of them waits for those that follow at once, seconds.
_MOST_TOGETHER: Final = 500
_TOGETHER_S: Final = 0.03
#: How long a page that reads nothing is borne, seconds.
_SEND_TIMEOUT_S: Final = 30
#: Events that may wait for a slow page.
_BACKLOG: Final = 8

_FAULT_TEXT: Final = "The console failed while it told this page; its log says more."

_boundary = Boundary("page")


def stream(site: Site, work: Work) -> EventSourceResponse:
    """Return the answer that tells a page what `work` has to say."""
    backlog: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(maxsize=_BACKLOG)

    def beat() -> ServerSentEvent:
        return ServerSentEvent(event="beat", data="here" if site.upstream.is_connected else "away")

    return EventSourceResponse(
        _said(backlog),
        data_sender_callable=partial(_feed, work, backlog, site=site),
        ping=_BEAT_S,
        ping_message_factory=beat,
        send_timeout=_SEND_TIMEOUT_S,
    )


def fragment(target: str, html: str) -> ServerSentEvent:
    """Build the event that puts HTML in the place of an element of the page."""
    return ServerSentEvent(event="fragment", data=json.dumps({"target": target, "html": html}, ensure_ascii=False))


def news(kind: str, facts: object, *, last_id: int | None = None) -> ServerSentEvent:
    """Build an event for a script of the page; with `last_id`, a broken stream goes on after it."""
    data = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(event=kind, data=data, id=None if last_id is None else str(last_id))


async def in_batches(source: AsyncIterator[T], take: Callable[[list[T]], Awaitable[None]]) -> None:
    """Hand on what a source gives, together what comes at once, until the source ends."""
    queue: asyncio.Queue[T | None] = asyncio.Queue(maxsize=2 * _MOST_TOGETHER)

    async def read() -> None:
        async for item in source:
            await queue.put(item)
        await queue.put(None)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        is_over = False
        while not is_over:
            batch = [await queue.get()]
            if queue.qsize() < _MOST_TOGETHER:
                await asyncio.sleep(_TOGETHER_S)
            while len(batch) < _MOST_TOGETHER and not queue.empty():
                batch.append(queue.get_nowait())
            is_over = None in batch
            await take([item for item in batch if item is not None])


async def _said(backlog: asyncio.Queue[ServerSentEvent | None]) -> AsyncIterator[ServerSentEvent]:
    while (event := await backlog.get()) is not None:
        yield event


async def _feed(work: Work, backlog: asyncio.Queue[ServerSentEvent | None], *, site: Site) -> None:
    """Tell the page what there is until all is told, or the console stops; a page that is gone cancels this."""
    await backlog.put(news("hello", {"build": site.looks.build}))
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(_told(work, backlog.put))
        ending = group.create_task(site.stopping.wait())
        await asyncio.wait([telling, ending], return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        ending.cancel()
    await backlog.put(None)


async def _told(work: Work, tell: Tell) -> None:
    with _boundary.guard() as fate:
        await tell(await _outcome(work, tell))
    if fate.error is not None:
        await tell(news("fault", {"text": _FAULT_TEXT, "again": True}))


async def _outcome(work: Work, tell: Tell) -> ServerSentEvent:
    """Tell the page everything, and return the event that says how that ended."""
    try:
        await work(tell)
    except (ClientError, ConsoleError, BaseExceptionGroup) as error:
        found = next((leaf for leaf in leaves(error) if isinstance(leaf, ClientError | ConsoleError)), None)
        if found is None:
            raise
        return fault(found)
    return news("over", {})


def fault(error: ClientError | ConsoleError) -> ServerSentEvent:
    """Build the event that says why the page hears no more, and whether it is worth asking again."""
    text = " ".join(part for part in (str(error), error.remedy) if part)
    return news("fault", {"text": text, "again": isinstance(error, TransientError)})
