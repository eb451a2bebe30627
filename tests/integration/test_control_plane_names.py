"""What a person calls things: beginnings of ids, places, near names."""

from pathlib import Path

import grpc
import pytest
from integration.control_plane_stand import Stand, control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api

FIRST = "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11"
SECOND = "0f6b3c1e-8c1e-5f43-a4a8-6f4f5f3c9d11"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/isthmus.db"


async def found(stand: Stand, name: str) -> str:
    run: api.Run = await stand.stub.FindRun(api.FindRunRequest(name=name))
    return run.request.run.run_id


async def refused(call: grpc.aio.UnaryUnaryCall[object, object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_run_is_found_by_whatever_names_it(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        await stand.serve()
        for run_id in (FIRST, SECOND):
            await stand.launch(run_id=run_id)
        for name in (FIRST, FIRST.upper(), FIRST.replace("-", ""), "0f6b3c1e8c1e4", "0f6b3c1e-8c1e-4", "-2"):
            assert await found(stand, name) == FIRST
        assert await found(stand, "latest") == await found(stand, "-1") == SECOND


async def test_an_ambiguous_beginning_names_the_candidates(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        await stand.serve()
        for run_id in (FIRST, SECOND):
            await stand.launch(run_id=run_id)
        error = await refused(stand.stub.FindRun(api.FindRunRequest(name="0f")))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        told = violations_of(error)["name"]
        assert "0f6b3c1e-8c1e-4 (nightly," in told
        assert "0f6b3c1e-8c1e-5 (nightly," in told


@pytest.mark.parametrize("name", ["nightly", "", "-0", "-", "zz", "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d1100"])
async def test_what_can_name_no_run_is_told_what_can(broker_url: str, sqlite_url: str, name: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        error = await refused(stand.stub.FindRun(api.FindRunRequest(name=name)))
        assert "'latest'" in violations_of(error)["name"]


async def test_names_that_are_near_are_offered(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        await stand.serve()
        location = await refused(stand.stub.GetLocation(api.GetLocationRequest(name="salse")))
        assert location.details() == "there is no location 'salse'; did you mean 'sales'?"
        agent = await refused(stand.stub.GetAgent(api.GetAgentRequest(name="alhpa")))
        assert agent.details() == "there is no agent 'alhpa'; did you mean 'alpha'?"
        launch = await refused(stand.stub.LaunchRun(api.LaunchRunRequest(location="salse", job_name="nightly")))
        assert launch.details() == "there is no location 'salse'; did you mean 'sales'?"
        run = await refused(stand.stub.FindRun(api.FindRunRequest(name="abc")))
        assert (run.code(), run.details()) == (grpc.StatusCode.NOT_FOUND, "there is no run 'abc'.")
