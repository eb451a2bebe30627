"""Receivers that misbehave and alerts that quote what hostile code says: each ends its own delivery and touches nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from integration.alert_world import MailServer, Sink, World, all_done, delivering, opened, policy
from isthmus.v1 import control_plane_pb2 as api
from isthmus_monitor.courier import Courier
from isthmus_monitor.errors import WebhookError
from isthmus_monitor.posting import Posting
from isthmus_store import alerts
from support.eventually import eventually


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with opened(database_url) as world:
        yield world


async def tell(world: World, *, job: str = "nightly") -> None:
    """Have a run of a job fail, and its message written."""
    await world.failed(job)
    await world.look()
    await world.look(after_s=10)


async def errors(world: World) -> list[str]:
    async with world.database.read() as tx:
        sent = await alerts.deliveries_of(tx, [it.id for it in await world.told()])
    return sorted(it.last_error for some in sent.values() for it in some)


def failed_once(world: World, *, number: int = 1) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return sum(bool(it) for it in await errors(world)) >= number

    return check


class ChoosyMailServer(MailServer):
    """Takes letters to some addresses alone."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address.startswith("gone"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


async def test_an_address_that_is_refused_costs_the_others_nothing_and_sends_them_nothing_twice(world: World) -> None:
    async with ChoosyMailServer().serving() as mail:
        letters = api.EmailReceiver(
            to=["a@b.example", "gone@b.example", "c@b.example"],
            server=f"smtp://127.0.0.1:{mail.port}",
            **{"from": "i@b.example"},
        )
        await world.sync(policy(api.AlertReceiver(email=letters)))
        await tell(world)
        async with delivering(world):
            await eventually(lambda: _tried(world, [1, 1, 1]), within=60)
        # Hours later the refused one is still tried.
        world.now += timedelta(hours=2)
        async with delivering(world):
            await eventually(lambda: _tried(world, [1, 1, 2]), within=60)
    assert sorted(it.rcpt_tos for it in mail.letters) == [["a@b.example"], ["c@b.example"]]
    assert await errors(world) == ["", "", "the mail server refuses the address (550)"]


async def _tried(world: World, tries: list[int]) -> bool:
    async with world.database.read() as tx:
        sent = await alerts.deliveries_of(tx, [it.id for it in await world.told()])
    return sorted(it.tries for some in sent.values() for it in some) == tries


async def test_what_an_alert_quotes_names_no_variable_and_breaks_no_body(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_ALERT_KEY", "s3cret")
    hostile = '${ISTHMUS_ALERT_KEY} ${HOME} {{data.run_id}} "}, {"x": "\\ \u2028 \x07'
    async with Sink().serving() as sink:
        body = '{"key": "${ISTHMUS_ALERT_KEY}", "summary": "{{title}}"}'
        await world.sync(policy(sink.hook(body=body)))
        await tell(world, job=hostile)
        async with delivering(world):
            await eventually(all_done(world), within=60)
    ((_, said),) = sink.received
    assert json.loads(said) == {"key": "s3cret", "summary": f"Job {hostile} of etl failed"}


async def test_a_receiver_that_points_elsewhere_is_not_followed(world: World) -> None:
    async with Sink().serving() as elsewhere, Sink(status=307).serving() as sink:
        sink.headers = {"location": f"http://127.0.0.1:{elsewhere.port}/"}
        await world.sync(policy(sink.hook(secret="s")))
        await tell(world)
        async with delivering(world):
            await eventually(failed_once(world), within=60)
    assert elsewhere.received == []
    assert await errors(world) == ["it answered 307, and points elsewhere, which is not followed"]


async def test_a_receiver_that_speaks_no_tls_and_one_that_is_not_there_are_named_by_their_faults(world: World) -> None:
    async with Sink().serving() as sink, Sink().serving() as sound:
        plain = api.AlertReceiver(webhook=api.WebhookReceiver(url=f"https://127.0.0.1:{sink.port}/"))
        nobody = api.AlertReceiver(webhook=api.WebhookReceiver(url="http://nowhere.invalid/"))
        await world.sync(policy(plain, nobody, sound.hook()))
        await tell(world)
        async with delivering(world):
            await eventually(failed_once(world, number=2), within=60)
            await eventually(lambda: len(sound.received) == 1, within=60)
    told = await errors(world)
    assert told[0] == ""
    assert all("Client" in it and "127.0.0.1" not in it for it in told[1:]), told


@asynccontextmanager
async def raw_server(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that reads what comes and answers by itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_body_without_end_behind_a_good_answer_is_not_waited_for() -> None:
    has_ended = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            has_ended.set()

    async with raw_server(drip) as url, Courier() as courier:
        async with asyncio.timeout(30):
            await courier.post(Posting(url=url, body="{}", headers={}))
            # The connection is let go of, too.
            await has_ended.wait()


@pytest.mark.parametrize(
    ("retry_after", "is_heeded"),
    [("120", True), (format_datetime(datetime.now(UTC) + timedelta(days=30), usegmt=True), True), ("soon", False),
     ("-5", False), ("Fri, 99 Foo 2030 99:99:99 GMT", False), ("9" * 400, True)],
    ids=["seconds", "date", "word", "negative", "no date", "huge"],
)  # fmt: skip
async def test_a_receiver_may_ask_for_patience_by_seconds_or_date(retry_after: str, *, is_heeded: bool) -> None:
    async with Sink(status=429).serving() as sink, Courier() as courier:
        sink.headers = {"retry-after": retry_after}
        with pytest.raises(WebhookError) as refused:
            await courier.post(Posting(url=f"http://127.0.0.1:{sink.port}/", body="{}", headers={}))
    assert refused.value.detail == "it answered 429"
    assert (refused.value.retry_after_s > 100) is is_heeded


async def test_bytes_that_are_no_http_are_a_failed_try() -> None:
    async def babble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
        await writer.drain()

    async with raw_server(babble) as url, Courier() as courier:
        with pytest.raises(WebhookError):
            await courier.post(Posting(url=url, body="{}", headers={}))
