"""The client without an event loop: the same calls, errors and streams, from scripts, threads and notebooks."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from isthmus.v1.control_plane_pb2 import LaunchRunRequest, RunState, RunUpdate
from isthmus.v1.telemetry_pb2 import Event
from isthmus_client.blocking import BlockingClient
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import NotFoundError, UnavailableError
from support.canned import CannedServer, Refusal, a_run


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_it_has_every_call_of_the_asynchronous_client() -> None:
    asynchronous, blocking = public(ControlPlaneClient), public(BlockingClient)
    assert {name: list(one.parameters.values()) for name, one in blocking.items()} == {
        name: list(one.parameters.values()) for name, one in asynchronous.items()
    }


async def elsewhere(work: Callable[[], Any]) -> Any:
    """Run the blocking code in a thread, as the canned control plane needs this loop."""
    return await asyncio.to_thread(work)


async def test_a_run_is_launched_and_watched_to_its_end(canned: CannedServer) -> None:
    canned.plane.updates = [RunUpdate(position=position, event=Event(message="e")) for position in range(1, 4)]
    canned.plane.updates[-1].run.CopyFrom(a_run("r1", state=RunState.RUN_STATE_SUCCEEDED))
    canned.plane.breaks = [2]

    def script() -> list[int]:
        with BlockingClient(canned.address) as client:
            run = client.launch_run(LaunchRunRequest(location="etl", job_name="nightly"))
            return [update.position for update in client.watch_run(run.request.run.run_id)]

    assert await elsewhere(script) == [1, 2, 3]


async def test_errors_are_those_of_the_asynchronous_client(canned: CannedServer) -> None:
    canned.plane.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "there is no run r9")

    def script() -> None:
        with BlockingClient(canned.address) as client:
            client.get_run("r9")

    with pytest.raises(NotFoundError, match="there is no run r9"):
        await elsewhere(script)


async def test_a_stream_may_be_left_before_its_end(canned: CannedServer) -> None:
    canned.plane.updates = [RunUpdate(position=1, event=Event(message="e"))]
    canned.plane.hold = asyncio.Event()

    def script() -> int:
        with BlockingClient(canned.address) as client:
            for update in client.watch_run("r1"):
                return update.position
        return 0

    assert await elsewhere(script) == 1
    canned.plane.hold.set()


def test_nobody_listening_is_told_and_the_client_can_be_entered_again(unused_tcp_port: int) -> None:
    client = BlockingClient(f"127.0.0.1:{unused_tcp_port}", connect_timeout_s=0.2)
    for _ in range(2):
        with pytest.raises(UnavailableError), client:
            pass


def test_a_call_outside_of_the_with_statement_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="with BlockingClient"):
        BlockingClient("127.0.0.1:1").list_agents()


async def test_a_run_is_found_by_what_a_person_calls_it(canned: CannedServer) -> None:
    def script() -> str:
        with BlockingClient(canned.address) as client:
            return client.find_run("latest").request.run.run_id

    assert await elsewhere(script) == "latest"
