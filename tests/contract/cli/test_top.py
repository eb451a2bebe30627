"""`isthmus top` as an application: keys in, screens out, before a control plane with prepared answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from isthmus.v1.control_plane_pb2 import (
    Agent,
    AgentState,
    ReexecuteRunRequest,
    RunState,
    RunUpdate,
    TerminateRunRequest,
)
from isthmus.v1.telemetry_pb2 import Event, LogChunk, LogStream, RunStarted, StepFailed, StepStarted, StepSucceeded
from isthmus_cli.top.app import Overview, TopApp
from isthmus_cli.top.run_screen import RunScreen
from isthmus_cli.top.table import LiveTable
from isthmus_client.client import ControlPlaneClient
from support.canned import CannedServer, Refusal, a_run
from support.eventually import eventually
from textual.pilot import Pilot
from textual.widgets import RichLog, Static

FIRST = "6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11"
SECOND = "8a2d8b63-4d2c-4b68-8e81-1eac2f3b5c22"


@asynccontextmanager
async def running(canned: CannedServer) -> AsyncIterator[Pilot[None]]:
    """The application over a canned control plane, once it shows its runs."""
    canned.plane.hold = asyncio.Event()
    async with ControlPlaneClient(canned.address) as client, TopApp(client).run_test(size=(120, 40)) as pilot:

        async def is_shown() -> bool:
            return pilot.app.query_one(LiveTable).row_count == len(canned.plane.runs)

        await eventually(is_shown, within=30)
        yield pilot
        canned.plane.hold.set()


def cells(pilot: Pilot[None]) -> list[list[str]]:
    table = pilot.app.screen.query_one(LiveTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


async def opened(pilot: Pilot[None]) -> RunScreen:
    await pilot.press("enter")

    async def is_open() -> bool:
        await pilot.pause()
        return isinstance(pilot.app.screen, RunScreen) and bool(pilot.app.screen.query(RichLog))

    await eventually(is_open, within=30)
    screen = pilot.app.screen
    assert isinstance(screen, RunScreen)
    return screen


def notices(pilot: Pilot[None]) -> list[str]:
    return [notice.message for notice in pilot.app._notifications]


async def test_runs_are_listed_and_stay_at_the_cursor(canned: CannedServer) -> None:
    canned.plane.runs = {
        FIRST: a_run(FIRST, state=RunState.RUN_STATE_RUNNING),
        SECOND: a_run(SECOND, job="hourly", state=RunState.RUN_STATE_FAILED),
    }
    canned.plane.runs[SECOND].message = "step load failed"
    async with running(canned) as pilot:
        assert [(row[0], row[1], row[2]) for row in cells(pilot)] == [
            (FIRST[:8], "RUNNING", "nightly"),
            (SECOND[:8], "FAILED", "hourly"),
        ]
        assert "step load failed" in cells(pilot)[1][-1]
        await pilot.press("down")
        table = pilot.app.screen.query_one(LiveTable)
        assert table.chosen == SECOND
        table.show([(SECOND, ["x"] * 8), (FIRST, ["y"] * 8)])  # type: ignore[list-item]
        assert table.chosen == SECOND


async def test_what_user_code_says_does_not_steer_the_terminal(canned: CannedServer) -> None:
    canned.plane.runs = {FIRST: a_run(FIRST, job="[red]evil[/]\x1b]0;title\x07")}
    async with running(canned) as pilot:
        assert cells(pilot)[0][2] == "[red]evil[/]\\x1b]0;title\\x07"


async def test_a_run_is_shown_with_steps_events_and_output(canned: CannedServer) -> None:
    canned.plane.runs = {FIRST: a_run(FIRST, state=RunState.RUN_STATE_RUNNING)}
    started = Event(run_started=RunStarted(step_keys=["load", "clean", "publish"]))
    bodies = (
        started,
        Event(step_key="load", step_started=StepStarted()),
        Event(step_key="load", step_succeeded=StepSucceeded()),
        Event(step_key="clean", step_started=StepStarted()),
    )
    canned.plane.updates = [RunUpdate(position=number, event=event) for number, event in enumerate(bodies, 1)]
    canned.plane.updates[0].run.CopyFrom(canned.plane.runs[FIRST])
    data = b"one\ntw\x1b[31mo\x1b[0m\n\x1b[2J[b]three[/b]\nunfinished"
    canned.plane.chunks = [LogChunk(stream=LogStream.LOG_STREAM_STDOUT, data=data)]
    async with running(canned) as pilot:
        screen = await opened(pilot)

        async def are_steps_shown() -> bool:
            await pilot.pause()
            return [(row[0], row[1]) for row in cells(pilot)] == [
                ("clean", "running"),
                ("load", "succeeded"),
                ("publish", "waiting"),
            ]

        await eventually(are_steps_shown, within=30)
        assert "1 of 3 steps" in str(screen.query_one("#head", Static).render())
        await pilot.press("v")

        async def are_events_shown() -> bool:
            await pilot.pause()
            return any("load" in line.text for line in screen.query_one("#event-log", RichLog).lines)

        await eventually(are_events_shown, within=30)
        await pilot.press("l")

        async def is_output_shown() -> bool:
            await pilot.pause()
            return len(screen.query_one("#output-log", RichLog).lines) == 3

        await eventually(is_output_shown, within=30)
        told = [line.text.rstrip() for line in screen.query_one("#output-log", RichLog).lines]
        assert told == ["one", "two", "\\x1b[2J[b]three[/b]"]
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, Overview)


async def test_a_run_is_terminated_only_after_a_yes(canned: CannedServer) -> None:
    canned.plane.runs = {FIRST: a_run(FIRST, state=RunState.RUN_STATE_RUNNING)}

    def asked() -> list[str]:
        return [one.run_id for one in canned.plane.asked if isinstance(one, TerminateRunRequest)]

    async with running(canned) as pilot:
        await pilot.press("t")
        await pilot.pause()
        await pilot.press("n")
        await pilot.pause()
        assert asked() == []
        await pilot.press("t")
        await pilot.pause()
        await pilot.press("y")

        async def is_asked() -> bool:
            await pilot.pause()
            return asked() == [FIRST]

        await eventually(is_asked, within=30)


async def test_an_ended_run_is_executed_again_from_its_failure(canned: CannedServer) -> None:
    canned.plane.runs = {FIRST: a_run(FIRST, state=RunState.RUN_STATE_FAILED)}
    event = Event(step_key="load", step_failed=StepFailed())
    canned.plane.updates = [RunUpdate(position=1, event=event, run=canned.plane.runs[FIRST])]
    async with running(canned) as pilot:
        await opened(pilot)
        await pilot.press("f")

        async def is_asked() -> bool:
            await pilot.pause()
            return any(isinstance(one, ReexecuteRunRequest) for one in canned.plane.asked)

        await eventually(is_asked, within=30)
        request = next(one for one in canned.plane.asked if isinstance(one, ReexecuteRunRequest))
        assert (request.parent_run_id, request.strategy) == (FIRST, ReexecuteRunRequest.STRATEGY_FROM_FAILURE)


async def test_what_is_refused_is_told(canned: CannedServer) -> None:
    canned.plane.runs = {FIRST: a_run(FIRST, state=RunState.RUN_STATE_FAILED)}
    async with running(canned) as pilot:
        canned.plane.refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "[not] now")
        await pilot.press("e")

        async def is_told() -> bool:
            await pilot.pause()
            return any("[not] now" in text for text in notices(pilot))

        await eventually(is_told, within=30)


async def test_agents_and_queue_are_told(canned: CannedServer) -> None:
    canned.plane.agents = {"alpha": Agent(name="alpha", state=AgentState.AGENT_STATE_LOST)}
    canned.plane.queue.depth = 3
    async with running(canned) as pilot:

        async def is_told() -> bool:
            await pilot.pause()
            return "3 waiting" in str(pilot.app.screen.query_one("#standing", Static).render())

        await eventually(is_told, within=30)
        await pilot.press("a")
        await pilot.pause()
        assert "alpha" in str(pilot.app.screen.query_one("#agents-text", Static).render())
