"""What the tables and texts of `isthmus top` show, as rich text. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from isthmus.v1.control_plane_pb2 import Agent, Queue, Run
from rich.text import Text

from isthmus_cli.run_name import brief_id
from isthmus_cli.terminal import terminal_line
from isthmus_cli.view.agent import agent_table
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.queue import queue_lines
from isthmus_cli.view.run import brief_why, target_text
from isthmus_cli.view.table import Room
from isthmus_cli.view.text import brief_age, duration_text, epoch_s
from isthmus_cli.view.timeline import RunTimeline

_PAINT = Paint(is_colored=True)

RUN_COLUMNS = ("RUN", "STATE", "JOB", "LOCATION", "AGENT", "AGE", "TOOK", "WHY")
STEP_COLUMNS = ("STEP", "STATE", "FOR")


def painted(lines: Iterable[str]) -> Text:
    """Return lines with their marks as colours; whatever else could steer a terminal is shown, not obeyed."""
    return Text.from_ansi("\n".join(terminal_line(line, is_colored=True) for line in lines))


def run_row(run: Run, *, now: datetime) -> list[Text]:
    """Return a run's cells."""
    cells = (
        brief_id(run.request.run.run_id),
        _PAINT.run_state(run.state),
        target_text(run),
        run.request.location,
        run.agent or "-",
        brief_age(run.queued_at, now=now),
        _took(run, now=now),
        brief_why(run),
    )
    return [painted([cell]) for cell in cells]


def step_rows(timeline: RunTimeline, *, now: datetime) -> Iterator[tuple[str, list[Text]]]:
    """Yield each step's key and cells: those that run, then those that failed, then the others in the order of the plan."""
    ended = {**dict.fromkeys(timeline.succeeded, "succeeded"), **dict.fromkeys(timeline.skipped, "skipped")}
    for key, started_at in timeline.running.items():
        yield key, _step(key, _PAINT.cyan("running"), duration_text(max(now.timestamp() - epoch_s(started_at), 0.0)))
    for key in timeline.failed:
        yield key, _step(key, _PAINT.red("failed"), "")
    for key in dict.fromkeys((*timeline.planned, *ended)):
        if key not in timeline.running and key not in timeline.failed:
            yield key, _step(key, _PAINT.green(ended[key]) if key in ended else _PAINT.dim("waiting"), "")


def run_head(run: Run, timeline: RunTimeline, *, now: datetime) -> Text:
    """Return the lines above a run's steps."""
    request = run.request
    facts = [_PAINT.bold(brief_id(request.run.run_id)), target_text(run), request.location, run.agent]
    standing = [_PAINT.run_state(run.state), _took(run, now=now), brief_why(run)]
    if timeline.planned:
        standing.insert(1, f"{timeline.ended_steps} of {len(timeline.planned)} steps")
    return painted([" · ".join(filter(None, facts)), " · ".join(part for part in standing if part not in ("", "-"))])


def agents_text(agents: Sequence[Agent]) -> Text:
    """Return the table of agents."""
    if not agents:
        return Text("No agent has a place here. Make one: isthmus agent create NAME")
    return painted(agent_table(agents, paint=_PAINT, room=Room()))


def queue_text(queue: Queue) -> Text:
    """Return how the queue stands."""
    return painted(queue_lines(queue, paint=_PAINT))


def _took(run: Run, *, now: datetime) -> str:
    if not run.HasField("started_at"):
        return "-"
    ended_s = epoch_s(run.ended_at) if run.HasField("ended_at") else now.timestamp()
    return duration_text(max(ended_s - epoch_s(run.started_at), 0.0))


def _step(*cells: str) -> list[Text]:
    return [painted([cell]) for cell in cells]
