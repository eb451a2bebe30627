"""Builds the query for a list of runs from what a person typed: pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import ListRunsQuery, RunState

from isthmus_cli.errors import InputError
from isthmus_cli.run_request import parse_tags, split_list

_SPAN = re.compile(r"^(\d+)\s*(s|m|h|d|w)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PREFIX = "RUN_STATE_"


def runs_query(
    *,
    states: Sequence[str],
    tags: Sequence[str],
    since: str,
    job: str,
    location: str,
) -> ListRunsQuery:
    """Build the query.

    Raises:
        InputError: Names the option that is not usable, and the choices.
    """
    query = ListRunsQuery(job_name=job, location=location, tags=parse_tags(tags))
    query.states.extend(_state(name) for option in states for name in split_list(option))
    if since:
        moment = Timestamp()
        moment.FromDatetime(parse_since(since, now=datetime.now(UTC)))
        query.queued_after.CopyFrom(moment)
    return query


def parse_since(text: str, *, now: datetime) -> datetime:
    """Read a span back from now, or a date and time (here, when no zone is named).

    Raises:
        InputError: When it is neither.
    """
    span = _SPAN.match(text.strip())
    if span:
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise InputError(
            f"--since {text} is no time.",
            remedy="Write a span such as 30m, 2h or 7d, or a time such as 2030-01-31T08:00",
        ) from error


def _state(name: str) -> "RunState.ValueType":
    try:
        return RunState.Value(_PREFIX + name.upper())
    except ValueError as error:
        from difflib import get_close_matches

        known = [state.removeprefix(_PREFIX).lower() for state in RunState.keys()[1:]]
        near = get_close_matches(name.lower(), known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"--state {name} is no state.{hint}", remedy=f"States: {', '.join(known)}") from error
