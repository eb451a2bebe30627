"""Shows a run while it goes: lines as things happen and, on a terminal, what runs at this moment below them."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from isthmus.v1.control_plane_pb2 import Run, RunState, RunUpdate

from isthmus_cli.exit_code import ExitCode
from isthmus_cli.terminal import terminal_line
from isthmus_cli.view.event import event_lines
from isthmus_cli.view.output import print_document_line, print_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.run import ending_lines
from isthmus_cli.view.text import count_text, duration_text, epoch_s
from isthmus_cli.view.timeline import RunTimeline

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

#: Running steps that the live part names; a thousand parallel steps must not fill the screen.
_SHOWN_STEPS = 8
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_S = 0.1

_Print = Callable[[list[str]], None]

_EXIT_CODES = {
    RunState.RUN_STATE_SUCCEEDED: ExitCode.OK,
    RunState.RUN_STATE_FAILED: ExitCode.FAILED,
    RunState.RUN_STATE_CANCELED: ExitCode.CANCELED,
}


async def show_run(updates: AsyncIterator[RunUpdate], *, is_json: bool) -> ExitCode:
    """Show a run's updates to their end and return the exit code that the run's end deserves."""
    timeline = RunTimeline()
    if is_json:
        async for update in updates:
            told_lines(update, timeline=timeline, paint=Paint(), is_live=False)
            print_document_line(update)
        return exit_code_of_run(timeline.run)
    paint, is_live = Paint.of(), sys.stdout.isatty()
    with _screen(timeline, is_live=is_live) as write:
        async for update in updates:
            lines = told_lines(update, timeline=timeline, paint=paint, is_live=is_live)
            if lines:
                write(lines)
    print_lines(shown("how it ended", lambda: ending_lines(timeline, paint=paint)))
    return exit_code_of_run(timeline.run)


def shown(what: str, tell: Callable[[], list[str]]) -> list[str]:
    """Tell something, or that it cannot be told: what nobody foresaw concerns these lines and neither the watch nor its end."""
    try:
        return tell()
    except Exception as error:  # noqa: BLE001 - the boundary of what is shown at a time
        return [f"{what} cannot be shown: {type(error).__name__}: {error}"]


def told_lines(update: RunUpdate, *, timeline: RunTimeline, paint: Paint, is_live: bool) -> list[str]:
    """Tell an update within a boundary of its own."""
    what = f"event {update.position} ({update.event.WhichOneof('body') or 'of an unknown kind'})"
    return shown(what, lambda: update_lines(update, timeline=timeline, paint=paint, is_live=is_live))


def update_lines(update: RunUpdate, *, timeline: RunTimeline, paint: Paint, is_live: bool) -> list[str]:
    """Take an update into the timeline and tell its lines.

    With `is_live`, starts of steps are left to the live part, and so is why the run waits.
    """
    waited_for = timeline.run.message
    took_s = timeline.apply(update)
    lines = []
    if update.HasField("event") and not (is_live and update.event.WhichOneof("body") == "step_started"):
        lines = event_lines(update.event, took_s=took_s, paint=paint)
    run = timeline.run
    if not is_live and run.state == RunState.RUN_STATE_QUEUED and run.message not in ("", waited_for):
        lines.append(paint.yellow(f"waiting: {run.message}"))
    return lines


def exit_code_of_run(run: Run) -> ExitCode:
    """Choose the exit code for a run's final state."""
    return _EXIT_CODES.get(run.state, ExitCode.FAILED)


@contextmanager
def _screen(timeline: RunTimeline, *, is_live: bool) -> Iterator[_Print]:
    if not is_live:
        yield print_lines
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    with Live(_LivePart(timeline), console=console, refresh_per_second=1 / _FRAME_S, transient=True):
        yield lambda lines: console.print(Text.from_ansi(_painted(lines)))


def _painted(lines: list[str]) -> str:
    return "\n".join(terminal_line(line, is_colored=True) for line in lines)


class _LivePart:
    """The lines below: the run's state, and the steps that run."""

    def __init__(self, timeline: RunTimeline) -> None:
        self._timeline = timeline

    def __rich_console__(self, _console: "Console", _options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        lines = shown("what runs", lambda: live_lines(self._timeline, now=datetime.now(UTC)))
        yield Text.from_ansi(_painted(lines))


def live_lines(timeline: RunTimeline, *, now: datetime) -> list[str]:
    """Tell what runs at this moment."""
    paint = Paint(is_colored=True)
    frame = paint.cyan(_FRAMES[int(now.timestamp() / _FRAME_S) % len(_FRAMES)])
    running = list(timeline.running.items())
    lines = [
        f"{frame} {key}  {paint.dim(duration_text(now.timestamp() - epoch_s(started_at)))}"
        for key, started_at in running[:_SHOWN_STEPS]
    ]
    if len(running) > _SHOWN_STEPS:
        lines.append(paint.dim(f"  and {count_text(len(running) - _SHOWN_STEPS, 'more step')}"))
    return [*lines, _status_line(timeline, now=now, paint=paint, frame=frame)]


def _status_line(timeline: RunTimeline, *, now: datetime, paint: Paint, frame: str) -> str:
    run = timeline.run
    since = run.started_at if run.HasField("started_at") else run.queued_at
    elapsed_s = now.timestamp() - epoch_s(since) if since.seconds else 0.0
    parts = [paint.run_state(run.state), duration_text(elapsed_s)] if run.state else ["connecting"]
    if timeline.planned:
        parts.append(f"{timeline.ended_steps} of {count_text(len(timeline.planned), 'step')}")
    if run.state == RunState.RUN_STATE_QUEUED and run.message:
        parts.append(paint.yellow(run.message))
    return f"{frame} {' · '.join(parts)}"
