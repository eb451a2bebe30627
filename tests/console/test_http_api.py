"""The API over HTTP, as curl and other tools call it: the real console before a control plane with prepared answers."""

import asyncio
import io
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import pytest
from console.console_stand import TOKEN, Console, console
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from isthmus.v1.control_plane_pb2 import LaunchRunRequest, Location, RunState, RunUpdate
from isthmus.v1.telemetry_pb2 import Event
from isthmus_console.connect.method import METHODS
from isthmus_console.connect.protocol import MAX_REQUEST_BYTES
from openapi_spec_validator import validate
from support.canned import CannedControlPlane, Refusal, a_run
from support.eventually import patiently

pytestmark = pytest.mark.usefixtures("token")

SERVICE = "/isthmus.v1.ControlPlane/"
AS_JSON = {"Content-Type": "application/json"}
AS_STREAM = {"Content-Type": "application/connect+json"}


@pytest.fixture
async def stand() -> AsyncIterator[Console]:
    async with console(CannedControlPlane()) as stand:
        yield stand


async def call(stand: Console, name: str, body: bytes | io.BytesIO, **headers: str) -> tuple[int, Any]:
    async with stand.browser.post(stand.address + SERVICE + name, data=body, headers=headers or AS_JSON) as answer:
        return answer.status, json.loads(await answer.read())


def enveloped(body: bytes, *, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(body)) + body


async def told(stand: Console, name: str, body: dict[str, Any], **headers: str) -> tuple[list[Any], Any]:
    """The messages of a stream, and what its end says."""
    sent = enveloped(json.dumps(body).encode())
    async with stand.browser.post(stand.address + SERVICE + name, data=sent, headers=AS_STREAM | headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == AS_STREAM["Content-Type"]
        content = await answer.read()
    messages: list[Any] = []
    while content:
        flags, length = struct.unpack_from(">BI", content)
        message, content = json.loads(content[5 : 5 + length]), content[5 + length :]
        if flags:
            assert not content
            return messages, message
        messages.append(message)
    raise AssertionError(messages)


# --------------------------------------------------------------------------------------------------------------- calls


async def test_a_call_is_made_as_whom_its_caller_shows(stand: Console) -> None:
    body = b'{"location": "etl", "jobName": "nightly", "tags": {"team": "sales"}}'

    status, run = await call(stand, "LaunchRun", body, **AS_JSON, Authorization=f"Bearer {TOKEN}-of-the-caller")

    assert status == 200
    assert run["request"]["jobName"] == "nightly"
    assert run["state"] == "RUN_STATE_QUEUED"
    assert stand.plane.asked == [LaunchRunRequest(location="etl", job_name="nightly", tags={"team": "sales"})]
    assert stand.plane.shown == [f"Bearer {TOKEN}-of-the-caller"]


async def test_names_may_be_those_of_the_contract(stand: Console) -> None:
    status, _ = await call(stand, "LaunchRun", b'{"location": "etl", "job_name": "nightly"}')

    assert status == 200
    assert stand.plane.asked == [LaunchRunRequest(location="etl", job_name="nightly")]


async def test_who_is_signed_in_at_the_pages_is_nobody_here(stand: Console) -> None:
    await stand.sign_in()
    before = len(stand.plane.shown)

    status, _ = await call(stand, "ListRuns", b"")

    # The control plane judges: the prepared one asks for no token.
    assert status == 200
    assert stand.plane.shown[before:] == [""]


async def test_another_name_of_the_host_is_refused(stand: Console) -> None:
    headers = AS_JSON | {"Host": "evil.example"}
    async with stand.browser.post(stand.address + SERVICE + "ListRuns", data=b"{}", headers=headers) as answer:
        assert answer.status == 421
    assert stand.plane.asked == []


@pytest.mark.parametrize(
    ("name", "body", "headers", "told"),
    [
        ("LaunchRun", b'{"jobNam": "x"}', AS_JSON, (400, "jobNam")),
        ("LaunchRun", b'{"tags": 3}', AS_JSON, (400, "tags")),
        ("LaunchRun", b'{"location"', AS_JSON, (400, "no LaunchRunRequest in JSON")),
        ("LaunchRun", b"[]", AS_JSON, (400, "no LaunchRunRequest in JSON")),
        ("LaunchRun", b"[" * 100_000, AS_JSON, (400, "no LaunchRunRequest in JSON")),
        ("LaunchRun", b'{"location": "\xff"}', AS_JSON, (400, "not UTF-8")),
        ("LaunchRun", b'{"location": "\\ud800"}', AS_JSON, (400, "no LaunchRunRequest in JSON")),
        ("ListRuns", b'{"pageSize": 1e400}', AS_JSON, (400, "no ListRunsQuery in JSON")),
        ("LaunchRun", b"{}", {"Content-Type": "text/plain"}, (415, "takes application/json")),
        ("LaunchRun", b"{}", AS_STREAM, (415, "takes application/json")),
        ("LaunchRun", b"{}", AS_JSON | {"Content-Encoding": "gzip"}, (501, "not compressed")),
        ("LaunchRun", b"{}", AS_JSON | {"Connect-Protocol-Version": "2"}, (400, "speaks 1")),
        ("LaunchRun", b"{}", AS_JSON | {"Connect-Timeout-Ms": "soon"}, (400, "milliseconds")),
        ("LaunchRun", b"{}", AS_JSON | {"Connect-Timeout-Ms": "9" * 11}, (400, "milliseconds")),
        ("LauchRun", b"{}", AS_JSON, (404, "did you mean LaunchRun?")),
        ("WatchRun", b"{}", AS_JSON, (415, "takes application/connect+json")),
        ("WatchRun", b"{}", AS_STREAM, (400, "five bytes")),
        ("WatchRun", enveloped(b"{}")[:-1], AS_STREAM, (400, "says 2 bytes")),
        ("WatchRun", enveloped(b"{}", flags=1), AS_STREAM, (501, "not compressed")),
        ("WatchRun", enveloped(b"{}") * 2, AS_STREAM, (400, "send one message")),
    ],
)
async def test_what_cannot_be_asked_is_told(
    stand: Console, name: str, body: bytes, headers: dict[str, str], told: tuple[int, str]
) -> None:
    status, error = await call(stand, name, body, **headers)

    assert (status, told[1] in error["message"]) == (told[0], True), error
    assert error["code"]
    assert stand.plane.asked == []


async def test_what_is_too_large_is_refused(stand: Console) -> None:
    status, error = await call(stand, "LaunchRun", io.BytesIO(b" " * (MAX_REQUEST_BYTES + 1)))

    assert (status, error["code"]) == (413, "resource_exhausted")


async def test_a_refusal_keeps_its_kind_and_details(stand: Console) -> None:
    detail = BadRequest()
    detail.field_violations.add(field="job_name", description="there is no job nope")
    stand.plane.refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "not valid", (ErrorInfo(reason="X"), detail))

    status, error = await call(stand, "LaunchRun", b"{}")

    assert (status, error["code"], error["message"]) == (400, "invalid_argument", "not valid")
    told = {one["type"]: one["debug"] for one in error["details"]}
    assert told["google.rpc.ErrorInfo"] == {"reason": "X"}
    assert told["google.rpc.BadRequest"] == {
        "fieldViolations": [{"field": "job_name", "description": "there is no job nope"}]
    }


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (grpc.StatusCode.NOT_FOUND, 404, "not_found"),
        (grpc.StatusCode.UNAUTHENTICATED, 401, "unauthenticated"),
        (grpc.StatusCode.FAILED_PRECONDITION, 400, "failed_precondition"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "resource_exhausted"),
    ],
)
async def test_each_kind_has_its_number(stand: Console, code: grpc.StatusCode, status: int, name: str) -> None:
    stand.plane.refusal = Refusal(code, "no")

    found, error = await call(stand, "GetRun", b'{"runId": "r1"}')

    assert (found, error["code"]) == (status, name)


async def test_a_control_plane_that_is_away_is_told(stand: Console) -> None:
    async with console(CannedControlPlane(), server="127.0.0.1:1") as alone:
        status, error = await call(alone, "ListRuns", b"{}")

    assert (status, error["code"]) == (503, "unavailable")


# ------------------------------------------------------------------------------------------------------------- streams


async def test_a_stream_tells_all_and_its_end(stand: Console) -> None:
    stand.plane.updates = [RunUpdate(position=number, event=Event(message=f"ä{number}")) for number in range(1, 4)]
    stand.plane.updates[-1].run.CopyFrom(a_run("r1", state=RunState.RUN_STATE_SUCCEEDED))

    messages, end = await told(stand, "WatchRun", {"runId": "r1"}, Authorization="Bearer of-the-caller")

    assert [one["event"]["message"] for one in messages] == ["ä1", "ä2", "ä3"]
    assert end == {}
    assert stand.plane.shown == ["Bearer of-the-caller"]


async def test_a_stream_that_is_refused_says_so_at_its_end(stand: Console) -> None:
    stand.plane.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "there is no run r9")

    messages, end = await told(stand, "WatchRun", {"runId": "r9"})

    assert messages == []
    assert end["error"] == {"code": "not_found", "message": "there is no run r9"}


async def test_a_stream_ends_at_its_deadline(stand: Console) -> None:
    stand.plane.phases = [Location(generation=1)]

    messages, end = await told(stand, "WatchLocation", {"name": "etl"}, **{"Connect-Timeout-Ms": "500"})

    assert [one["generation"] for one in messages] == ["1"]
    assert end["error"]["code"] == "deadline_exceeded"


@dataclass
class Watched(CannedControlPlane):
    """Says when a watch of a location has ended."""

    watch_ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def WatchLocation(self, request: Any, context: Any) -> AsyncIterator[Location]:  # noqa: N802
        try:
            async for location in super().WatchLocation(request, context):
                yield location
        finally:
            self.watch_ended.set()


async def test_a_caller_who_goes_away_ends_the_call() -> None:
    plane = Watched(phases=[Location(generation=1)])
    async with console(plane) as stand, aiohttp.ClientSession() as caller:
        sent = enveloped(b'{"name": "etl"}')
        async with caller.post(stand.address + SERVICE + "WatchLocation", data=sent, headers=AS_STREAM) as answer:
            assert await answer.content.readexactly(5)
            answer.close()
        async with patiently(30):
            await plane.watch_ended.wait()


# ------------------------------------------------------------------------------------------------------------ document


async def test_pages_show_each_call_with_what_it_takes_and_gives(stand: Console) -> None:
    await stand.sign_in()

    listed = await stand.get("/api")
    assert all(f'href="/api/{name}"' in listed.text for name in METHODS)
    shown = await stand.get("/api/LaunchRun")
    assert "A UUID that makes the call repeatable" in shown.text
    assert f"{stand.address}{SERVICE}LaunchRun" in shown.text
    assert 'href="#AssetKey"' in shown.text
    assert 'id="AssetKey"' in shown.text
    assert "Content-Type: application/connect+json" in (await stand.get("/api/WatchRun")).text
    assert (await stand.get("/api/Nothing")).status == 404


async def test_the_document_is_valid_and_has_every_call(stand: Console) -> None:
    async with stand.browser.get(stand.address + "/openapi.json") as answer:
        assert answer.status == 200
        document = await answer.json()

    validate(document)
    assert set(document["paths"]) == {method.path for method in METHODS.values()}
    launch = document["components"]["schemas"]["LaunchRunRequest"]["properties"]
    assert launch["runId"]["description"].startswith("A UUID")
