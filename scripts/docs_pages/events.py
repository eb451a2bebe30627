"""Every event that leaves an environment, every alert, and every line that a process of ours logs."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.telemetry_pb2 import Event
from isthmus_monitor.alert import KINDS

from docs_pages.contract import anchor, comments_in
from docs_pages.markdown import code, escaped, table

ROOT = Path(__file__).parents[2]
#: What people are told without asking.
ALERTS = {
    "agent.lost": "An agent fell silent.",
    "location.failed": "A location does not load on an agent.",
    "run.failed": "A run failed.",
    "run.recovered": "A run that had been given up as lost succeeded after all.",
}
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


@dataclass(frozen=True, order=True)
class LogEvent:
    """What a process logs under one key."""

    room: str
    key: str
    level: str
    facts: tuple[str, ...]


def events_page() -> str:
    """Return the page of events, alerts and lines of logs."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Events\n"
    yield "## Telemetry\n"
    yield (
        "What leaves an environment, and what a run's history is made of: `isthmus run watch RUN -o json` prints these, with the "
        "name in the field `kind`. The numbers are those of [Event](contract/telemetry.md#event). Why a run ended is one of "
        "the [reasons](contract/telemetry.md#runreason).\n"
    )
    comments = comments_in("telemetry")
    yield table(["kind", "number", "meaning", "fields"], _telemetry(comments))
    yield "## Alerts\n\nWhat the monitor posts to the receivers that `ISTHMUS_MONITOR_WEBHOOKS` names.\n"
    yield table(["kind", "meaning"], [(code(kind), ALERTS[kind]) for kind in sorted(KINDS)])
    yield (
        "## Lines of logs\n\nEach service writes a line of JSON for each of these to stderr: `event` is the key, which stays, the facts are "
        "fields. `error` means that somebody must act, `warning` that something is degraded and handled.\n"
    )
    for room, events in _by_room(log_events()):
        yield f"### {room}\n"
        yield table(
            ["event", "level", "facts"],
            [(code(one.key), one.level, ", ".join(map(code, one.facts))) for one in events],
        )


def _telemetry(comments: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    for field in Event.DESCRIPTOR.oneofs_by_name["body"].fields:
        message = field.message_type
        assert message is not None
        meaning = escaped(comments.get(message.name, ""))
        link = f"[{message.name}](contract/telemetry.md#{anchor(message)})"
        yield code(field.name), str(field.number), meaning, link


def log_events() -> list[LogEvent]:
    """Return what the packages log, read from their source: calls of a `_log` with a text as its first argument."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for pyproject in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")]:
        for path in pyproject.parent.glob("isthmus_*/**/*.py"):
            for key, level, facts in _calls(path):
                found.setdefault((pyproject.parent.name, key, level), set()).update(facts)
    return sorted(LogEvent(*where, tuple(sorted(facts))) for where, facts in found.items())


def _calls(path: Path) -> Iterator[tuple[str, str, set[str]]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _LEVELS):
            continue
        key = node.args[0] if node.args else None
        if (
            "log" in ast.unparse(node.func.value).lower()
            and isinstance(key, ast.Constant)
            and isinstance(key.value, str)
        ):
            level = "error" if node.func.attr == "exception" else node.func.attr
            yield key.value, level, {word.arg for word in node.keywords if word.arg and word.arg != "exc_info"}


def _by_room(events: list[LogEvent]) -> Iterator[tuple[str, list[LogEvent]]]:
    for room in sorted({event.room for event in events}):
        yield room, [event for event in events if event.room == room]
