"""What nobody foresaw concerns its own line: the watch, the follower and their ends go on."""

import io
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest
from isthmus.v1.control_plane_pb2 import Run, RunState, RunUpdate
from isthmus.v1.telemetry_pb2 import Event, LogMessage
from isthmus_broker.notices import Notice
from isthmus_cli.exit_code import ExitCode
from isthmus_cli.terminal import tolerate_encodings
from isthmus_cli.view.paint import Paint
from isthmus_cli.watch import show_run
from isthmus_dev.follow import Follower
from isthmus_dev.screen import Screen

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

#: A second beyond the calendar: what turns it into a date raises.
BEYOND = 2**61


async def updates() -> AsyncIterator[RunUpdate]:
    broken = RunUpdate(position=1, event=Event(message="odd", log_message=LogMessage(level=20)))
    broken.event.occurred_at.seconds = BEYOND
    yield broken
    yield RunUpdate(position=2, event=Event(message="fine", log_message=LogMessage(level=20)))
    ended = Run(state=RunState.RUN_STATE_SUCCEEDED)
    ended.started_at.seconds, ended.ended_at.seconds = -BEYOND, BEYOND
    yield RunUpdate(run=ended)


@pytest.mark.parametrize("is_json", [False, True])
async def test_an_event_that_cannot_be_shown_does_not_end_the_watch(
    capsys: pytest.CaptureFixture[str], *, is_json: bool
) -> None:
    assert await show_run(updates(), is_json=is_json) == ExitCode.OK
    assert "fine" in capsys.readouterr().out


class Odd:
    """A control plane's client whose first run nobody foresaw."""

    async def get_run(self, run_id: str) -> Run:
        if run_id == "a":
            raise ZeroDivisionError("nobody foresaw this")
        return Run(state=RunState.RUN_STATE_RUNNING, agent=run_id)

    async def get_location(self, name: str) -> object:
        raise KeyError(name)


async def test_a_change_that_cannot_be_told_does_not_end_the_follower(capsys: pytest.CaptureFixture[str]) -> None:
    follower = Follower(
        cast("ControlPlaneClient", Odd()), screen=Screen(paint=Paint(), is_terminal=False), deployment="default"
    )
    await follower.look(Notice(runs=frozenset({"a", "b"}), locations=frozenset({"default/x"})))
    assert "RUNNING" in capsys.readouterr().out


def test_a_name_that_the_terminal_has_no_letters_for_is_shown_by_its_number() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    tolerate_encodings(stream, sys.stdout)
    stream.write("\u25b8 caf\u00e9")
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u25b8 caf\xe9"
