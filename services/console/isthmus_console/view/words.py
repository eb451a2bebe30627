"""What templates call: states, moments and reasons of messages as people read them. Pure."""

from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import AgentState, PauseKind, Run, RunState, Station
from isthmus.v1.telemetry_pb2 import LocationPhase
from isthmus_client.resume import is_ended
from isthmus_client.words.failure import failure_headline
from isthmus_client.words.run import message_line, reason_text, target_text
from isthmus_client.words.run_id import brief_id
from isthmus_client.words.value import (
    asset_text,
    count_text,
    duration_text,
    enum_text,
    epoch_s,
    seconds_between,
    size_text,
)
from markupsafe import Markup

from isthmus_console.view.document import indented
from isthmus_console.view.failure import failure_links

#: In the place of what there is not.
_NOTHING: Final = Markup("&ndash;")


def state_word(run: Run) -> str:
    """Name a run's state, as in "failed"."""
    return enum_text(run.state, descriptor=RunState.DESCRIPTOR).lower()


def phase_word(phase: "LocationPhase.ValueType") -> str:
    """Name a location's phase, as in "serving"."""
    return enum_text(phase, descriptor=LocationPhase.DESCRIPTOR).lower()


def agent_word(state: "AgentState.ValueType") -> str:
    """Name an agent's state, as in "online"."""
    return enum_text(state, descriptor=AgentState.DESCRIPTOR).lower()


def pause_word(kind: "PauseKind.ValueType") -> str:
    """Name what is paused, as in "location"."""
    return enum_text(kind, descriptor=PauseKind.DESCRIPTOR).lower()


def why_text(run: Run) -> str:
    """Tell in one line why a run ended as it did, or why it waits; empty when there is nothing to say."""
    said = message_line(run, worded=lambda it: f"{it.field}: {it.description}")
    parts = (reason_text(run).lower().replace("_", " "), said)
    return ": ".join(part for part in dict.fromkeys(parts) if part)


def moment(at: Timestamp) -> Markup:
    """Write a moment for a page, whose script shows it as the reader's own clock does."""
    return _time(at, form="moment")


def ago(at: Timestamp) -> Markup:
    """Write how long ago something was, which the page's script keeps up to date."""
    return _time(at, form="ago")


def took(run: Run) -> Markup:
    """Write how long a run has been running, or ran; a page's script goes on counting where it still does."""
    if not run.HasField("started_at"):
        return _NOTHING
    if is_ended(run):
        return Markup("{}").format(duration_text(seconds_between(run.started_at, run.ended_at)))
    return since(run.started_at)


def since(at: Timestamp) -> Markup:
    """Write how long something has lasted, which a page's script goes on counting."""
    return _time(at, form="since")


def station_s(station: Station) -> float:
    """Measure a part of a run's way, seconds."""
    return seconds_between(station.began_at, station.ended_at)


def _time(at: Timestamp, *, form: str) -> Markup:
    seconds = epoch_s(at)
    if not seconds:
        return _NOTHING
    try:
        text = datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        # No calendar has it.
        return Markup("{}").format(f"{seconds:.15g}")
    return Markup('<time datetime="{}" data-form="{}">{} UTC</time>').format(text, form, text[:19].replace("T", " "))


FILTERS: Final = {
    "ago": ago,
    "agent_word": agent_word,
    "asset_text": asset_text,
    "brief_id": brief_id,
    "count_text": count_text,
    "duration": duration_text,
    "headline": failure_headline,
    "indented": indented,
    "links": failure_links,
    "moment": moment,
    "pause_word": pause_word,
    "phase_word": phase_word,
    "since": since,
    "size_text": size_text,
    "state_word": state_word,
    "station_s": station_s,
    "target": target_text,
    "took": took,
    "why": why_text,
}
#: The pages that one can go to from everywhere.
PAGES: Final = (("Overview", "/"), ("Runs", "/runs"), ("Deployment", "/deployment"), ("API", "/api"))
GLOBALS: Final = {"is_ended": is_ended, "new_id": lambda: str(uuid4()), "pages": PAGES}
