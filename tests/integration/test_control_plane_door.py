"""Who is let in by the control plane's API: whoever sends the token, which only its user can read."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneStub
from isthmus_client.announcement import announcement_file, own_token_file
from isthmus_client.client import ControlPlaneClient
from isthmus_client.discovery import find_token
from isthmus_client.errors import TokenError, UnauthenticatedError
from isthmus_control_plane.api.server import ApiServer
from isthmus_control_plane.api.service import ControlPlaneService
from isthmus_control_plane.settings import ControlPlaneSettings

TOKEN = "a token of twenty or so characters".replace(" ", "-")
EMPTY = api.ListAgentsRequest()


class Agents(ControlPlaneService):
    """The one call that these tests make, and one stream."""

    def __init__(self) -> None:
        pass

    async def ListAgents(self, request: object, context: object) -> api.ListAgentsResponse:  # noqa: N802 - gRPC's name
        return api.ListAgentsResponse(agents=[api.Agent(name="seen")])

    async def WatchRun(self, request: object, context: object) -> AsyncIterator[api.RunUpdate]:  # noqa: N802 - gRPC's name
        yield api.RunUpdate(position=1, run=api.Run(state=api.RUN_STATE_SUCCEEDED))


@asynccontextmanager
async def serving(**overrides: Any) -> AsyncIterator[str]:
    settings = ControlPlaneSettings(
        **{"broker_url": "amqp://unused", "database_url": "sqlite:///unused", "listen": "127.0.0.1:0", **overrides}
    )
    async with ApiServer.serve(Agents(), settings=settings) as server:
        yield server.address


async def refusal_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer another-token-altogether"),),
        (("authorization", TOKEN),),
        (("authorization", f"Basic {TOKEN}"),),
        (("authorization", "Bearer "),),
        (("authorization", f"Bearer {TOKEN}x"),),
        (("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer another-token-altogether")),
        (("x-authorization", f"Bearer {TOKEN}"),),
    ],
)
async def test_a_call_without_the_token_is_unauthenticated(metadata: tuple[tuple[str, str], ...]) -> None:
    async with serving(api_token=TOKEN) as address, grpc.aio.insecure_channel(address) as channel:
        stub: Any = ControlPlaneStub(channel)
        assert await refusal_of(stub.ListAgents(EMPTY, metadata=metadata)) is grpc.StatusCode.UNAUTHENTICATED
        watch = stub.WatchRun(api.WatchRunRequest(run_id="r"), metadata=metadata)
        assert await refusal_of(watch.read()) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_with_the_token_is_answered() -> None:
    async with serving(api_token=TOKEN) as address, grpc.aio.insecure_channel(address) as channel:
        stub: Any = ControlPlaneStub(channel)
        for scheme in ("Bearer", "bearer"):
            answer = await stub.ListAgents(EMPTY, metadata=(("authorization", f"{scheme} {TOKEN}"),))
            assert [agent.name for agent in answer.agents] == ["seen"]


async def test_health_answers_whoever_asks() -> None:
    async with serving(api_token=TOKEN) as address, grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_token_file_is_made_for_its_user_alone_and_found_by_his_tools(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "token"
    async with serving(api_token_file=file) as address:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(announcement_file(address).stat().st_mode) == 0o600
        async with ControlPlaneClient(address) as client:
            assert [agent.name for agent in await client.list_agents()] == ["seen"]
            assert [update.position async for update in client.watch_run("r")] == [1]
    assert not announcement_file(address).exists()
    token = file.read_text()
    async with serving(api_token_file=file):
        assert file.read_text() == token


async def test_told_nothing_it_keeps_a_token_of_its_own_for_the_address() -> None:
    async with serving() as address:
        file = own_token_file(address)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        async with ControlPlaneClient(address) as client:
            assert await client.list_agents()
        first = file.read_text()
    async with serving(listen=address) as again:
        assert (again, file.read_text()) == (address, first)
    async with serving():
        assert not file.exists(), "what ended control planes leave is swept by the next one"


async def test_who_has_no_token_or_another_one_is_told_what_to_do() -> None:
    async with serving(api_token=TOKEN) as address:
        assert find_token(address) is None
        async with ControlPlaneClient(address) as client:
            with pytest.raises(UnauthenticatedError, match="there is none for it here") as missing:
                await client.list_agents()
        assert "ISTHMUS_API_TOKEN" in missing.value.remedy
        async with ControlPlaneClient(address, token="another-token-altogether") as client:
            with pytest.raises(UnauthenticatedError, match="does not accept the token from the caller"):
                await anext(client.watch_run("r"))


@pytest.mark.parametrize(
    "token", ["short", "with a space within it", "with\ncontrol\ncharacters", "ünïcödé-and-long-enough"]
)
async def test_a_token_that_no_header_can_carry_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(TokenError, match="ISTHMUS_API_TOKEN"):
        async with serving(api_token=token):
            pass


async def test_a_token_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TokenError, match="cannot be made"):
        async with serving(api_token_file=tmp_path / "file" / "token"):
            pass
    (tmp_path / "empty").touch()
    with pytest.raises(TokenError, match="not usable"):
        async with serving(api_token_file=tmp_path / "empty"):
            pass


async def test_a_link_in_the_place_of_the_token_file_is_not_followed_when_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TokenError):
        async with serving(api_token_file=tmp_path / "token"):
            pass
    assert not (tmp_path / "elsewhere").exists()
