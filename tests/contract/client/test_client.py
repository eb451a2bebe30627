"""The client against a real gRPC server: errors, deadlines, resuming."""

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo
from isthmus.v1.control_plane_pb2 import (
    GetSnapshotRequest,
    LaunchRunRequest,
    ListRunsQuery,
    Location,
    LocationSettings,
    RunState,
    RunUpdate,
    WatchedRuns,
)
from isthmus.v1.telemetry_pb2 import Event, LocationSnapshot, LogChunk, LogStream
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import (
    ClientError,
    ConflictError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    ServerFaultError,
    UnavailableError,
    UnsupportedCallError,
    Violation,
)
from support.canned import CannedControlPlane, CannedServer, Refusal, a_location, a_run, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from isthmus.v1.control_plane_pb2 import ListRunsPage


def history(*, ends: bool = True) -> list[RunUpdate]:
    updates = [RunUpdate(position=position, event=Event(message=str(position))) for position in range(1, 7)]
    updates[0].run.CopyFrom(a_run("r1", state=RunState.RUN_STATE_RUNNING))
    if ends:
        updates[-1].run.CopyFrom(a_run("r1", state=RunState.RUN_STATE_SUCCEEDED))
    return updates


async def test_an_invalid_request_names_every_field(canned: CannedServer, client: ControlPlaneClient) -> None:
    detail = BadRequest()
    detail.field_violations.add(field="job_name", description="there is no job nope")
    detail.field_violations.add(field="tags.x", description="too long")
    canned.plane.refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "not valid", (ErrorInfo(reason="X"), detail))

    with pytest.raises(InvalidRequestError) as caught:
        await client.launch_run(LaunchRunRequest(location="etl", job_name="nope"))

    assert caught.value.violations == (
        Violation(field="job_name", description="there is no job nope"),
        Violation(field="tags.x", description="too long"),
    )
    assert "job_name: there is no job nope" in str(caught.value)


async def test_what_is_missing_is_named(canned: CannedServer, client: ControlPlaneClient) -> None:
    detail = ResourceInfo(resource_type="isthmus.run", resource_name="r9")
    canned.plane.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "there is no run r9", (detail,))

    with pytest.raises(NotFoundError, match="there is no run r9") as caught:
        await client.get_run("r9")

    assert (caught.value.kind, caught.value.name) == ("isthmus.run", "r9")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, ConflictError),
        (grpc.StatusCode.ALREADY_EXISTS, ConflictError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError),
        (grpc.StatusCode.UNIMPLEMENTED, UnsupportedCallError),
        (grpc.StatusCode.INTERNAL, ServerFaultError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
    ],
)
async def test_each_status_has_its_error(
    canned: CannedServer, client: ControlPlaneClient, code: grpc.StatusCode, error: type[ClientError]
) -> None:
    canned.plane.refusal = Refusal(code, "because")
    with pytest.raises(error, match=r"because|does not know"):
        await client.get_agent("a")


async def test_an_unavailable_location_is_not_an_unreachable_control_plane(
    canned: CannedServer, client: ControlPlaneClient
) -> None:
    detail = ErrorInfo(reason="LOCATION_UNAVAILABLE", metadata={"remedy": "start an agent"})
    canned.plane.refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "nobody serves etl", (detail,))
    with pytest.raises(UnavailableError) as caught:
        await client.validate_run(LaunchRunRequest(location="etl"))
    assert (str(caught.value), caught.value.remedy) == ("nobody serves etl", "start an agent")


async def test_nobody_listening_is_told_with_the_address() -> None:
    canned = await serve(CannedControlPlane())
    await canned.server.stop(None)
    with pytest.raises(UnavailableError, match=canned.address) as caught:
        async with ControlPlaneClient(canned.address, connect_timeout_s=0.3):
            pass
    assert caught.value.address == canned.address


async def test_a_launch_carries_an_id_of_its_own_so_that_it_may_be_repeated(
    canned: CannedServer, client: ControlPlaneClient
) -> None:
    request = LaunchRunRequest(location="etl", job_name="nightly")
    run = await client.launch_run(request)
    assert str(uuid.UUID(run.request.run.run_id)) == run.request.run.run_id
    assert not request.run_id
    assert canned.plane.asked[0] == LaunchRunRequest(
        deployment="default", run_id=run.request.run.run_id, location="etl", job_name="nightly"
    )


async def test_a_location_that_defines_much_is_told_whole(canned: CannedServer, client: ControlPlaneClient) -> None:
    snapshot = LocationSnapshot(warnings=["one", "two"])
    canned.plane.large_snapshot = snapshot.SerializeToString()
    settings = LocationSettings(name="etl")
    canned.plane.locations["etl"] = Location(settings=settings, snapshot_hash="abc", snapshot_bytes=10)
    assert (await client.get_location("etl")).snapshot == snapshot
    assert canned.plane.asked[-1] == GetSnapshotRequest(deployment="default", name="etl", snapshot_hash="abc")


async def test_a_broken_watch_goes_on_where_it_stopped(canned: CannedServer, client: ControlPlaneClient) -> None:
    canned.plane.updates, canned.plane.breaks = history(), [2, 1, 0]
    positions = [update.position async for update in client.watch_run("r1")]
    assert positions == [1, 2, 3, 4, 5, 6]
    assert [request.after_position for request in canned.plane.asked] == [0, 2, 3, 3]  # type: ignore[attr-defined]


async def test_a_watch_that_ends_before_the_run_is_opened_again(
    canned: CannedServer, client: ControlPlaneClient
) -> None:
    canned.plane.updates = history(ends=False)[:3]
    positions = []
    async for update in client.watch_run("r1"):
        positions.append(update.position)
        if update.position == 3:
            canned.plane.updates = history()
    assert positions == [1, 2, 3, 4, 5, 6]


async def test_a_watch_survives_a_restart_of_the_control_plane(
    canned: CannedServer, client: ControlPlaneClient
) -> None:
    canned.plane.updates = history(ends=False)[:3]
    second = CannedControlPlane(updates=history())
    restarted = None
    positions = []
    async for update in client.watch_run("r1"):
        positions.append(update.position)
        if update.position == 3 and restarted is None:
            await canned.server.stop(None)
            restarted = await serve(second, address=canned.address)
    assert positions == [1, 2, 3, 4, 5, 6]
    assert restarted is not None
    await restarted.server.stop(None)


async def test_a_watch_of_nothing_is_an_error_at_once(canned: CannedServer, client: ControlPlaneClient) -> None:
    canned.plane.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "no such run")
    with pytest.raises(NotFoundError):
        await anext(client.watch_run("r1"))
    assert len(canned.plane.asked) == 1


async def test_logs_go_on_at_the_byte_where_they_broke(canned: CannedServer, client: ControlPlaneClient) -> None:
    out, err = LogStream.LOG_STREAM_STDOUT, LogStream.LOG_STREAM_STDERR
    canned.plane.chunks = [
        LogChunk(stream=out, offset=0, data=b"one "),
        LogChunk(stream=err, offset=0, data=b"oops"),
        LogChunk(stream=out, offset=4, data=b"two"),
    ]
    canned.plane.breaks = [2]
    told = [chunk.data async for chunk in client.stream_logs("r1", streams=(out, err))]
    assert told == [b"one ", b"oops", b"two"]
    assert {cursor.stream: cursor.offset for cursor in canned.plane.asked[1].cursors} == {out: 4, err: 4}  # type: ignore[attr-defined]


async def test_logs_whose_agent_is_away_are_an_error_at_once(canned: CannedServer, client: ControlPlaneClient) -> None:
    detail = ErrorInfo(reason="LOCATION_UNAVAILABLE")
    canned.plane.refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "the agent is away", (detail,))
    with pytest.raises(UnavailableError, match="the agent is away"):
        await anext(client.stream_logs("r1", streams=(LogStream.LOG_STREAM_STDOUT,)))


async def test_a_client_speaks_for_its_deployment(canned: CannedServer) -> None:
    canned.plane.locations["etl"] = a_location("etl")
    async with ControlPlaneClient(canned.address, deployment="staging") as client:
        assert [location.settings.name for location in await client.list_locations()] == ["etl"]
    assert canned.plane.asked[0].deployment == "staging"  # type: ignore[attr-defined]


async def test_a_run_is_found_by_what_a_person_calls_it(canned: CannedServer, client: ControlPlaneClient) -> None:
    assert (await client.find_run("-2")).request.run.run_id == "-2"
    assert canned.plane.asked[0].name == "-2"  # type: ignore[attr-defined]


async def test_a_watched_list_is_told_whole_each_time_and_goes_on_when_its_stream_breaks(
    canned: CannedServer, client: ControlPlaneClient
) -> None:
    running, ended = (a_run("r1", state=state) for state in (RunState.RUN_STATE_RUNNING, RunState.RUN_STATE_SUCCEEDED))
    canned.plane.pages = [
        WatchedRuns(run_ids=["r1"], changed=[running]),
        WatchedRuns(run_ids=["r2", "r1"], changed=[a_run("r2")], next_page_token="more"),
        WatchedRuns(run_ids=["r2", "r1"], changed=[ended], next_page_token="more"),
    ]
    canned.plane.breaks = [2]
    told = []
    watch = cast("AsyncGenerator[ListRunsPage, None]", client.watch_runs(ListRunsQuery(text="night")))
    async with aclosing(watch) as pages:
        async for page in pages:
            told.append([(run.request.run.run_id, run.state) for run in page.runs])
            if (("r1", RunState.RUN_STATE_SUCCEEDED)) in told[-1]:
                break
    first, second = [("r1", running.state)], [("r2", RunState.RUN_STATE_QUEUED), ("r1", running.state)]
    assert told == [first, second, first, second, [second[0], ("r1", ended.state)]]
    asked = [request for request in canned.plane.asked if isinstance(request, ListRunsQuery)]
    assert [(query.text, query.deployment) for query in asked] == [("night", "default")] * 2
