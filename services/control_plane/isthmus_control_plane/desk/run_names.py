"""Which run a person means."""

import re
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store import run_name, runs
from isthmus_store.record.run import Run
from isthmus_store.transaction import Transaction

from isthmus_control_plane.errors import InvalidRequestError, NotFoundError, Violation
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

#: How many digits of an id stand between its hyphens.
_GROUPS: Final = (8, 4, 4, 4, 12)
_DIGITS: Final = sum(_GROUPS)
_PLACE: Final = re.compile(r"latest|-[1-9][0-9]{0,4}")
#: So many candidates are named.
_MOST_NAMED: Final = 5
#: The beginning of an id that is told of a candidate has at least so many digits.
_SHORT: Final = 8


async def find_named(tx: Transaction, request: api.FindRunRequest) -> Run:
    """Return the run that a name means.

    Raises:
        NotFoundError: There is none.
        InvalidRequestError: There are several, which are named, or the name is none.
    """
    refuse(rules.find_run(request))
    deployment, name = request.deployment or DEFAULT, request.name.lower()
    if _PLACE.fullmatch(name):
        place = 1 if name == "latest" else int(name[1:])
        found = await run_name.nth_newest(tx, place, deployment=deployment)
        candidates = [found] if found else []
    elif len(digits := name.replace("-", "")) == _DIGITS:
        found = await runs.get(tx, hyphenated(digits))
        candidates = [found] if found and found.deployment == deployment else []
    else:
        limit = _MOST_NAMED + 1
        candidates = await run_name.beginning_with(tx, hyphenated(digits), deployment=deployment, limit=limit)
    if not candidates:
        raise no_such_run(request.name, deployment=deployment)
    if len(candidates) > 1:
        raise InvalidRequestError([Violation("name", _ambiguity(request.name, candidates))])
    return candidates[0]


def no_such_run(name: str, *, deployment: str) -> NotFoundError:
    """Build the error of a run that there is not."""
    return NotFoundError("run", name=name, deployment=deployment, remedy="List the runs: isthmus run list")


def hyphenated(digits: str) -> str:
    """Write the beginning of an id with its hyphens, which may have been left out."""
    parts, start = [], 0
    for length in _GROUPS:
        parts.append(digits[start : start + length])
        start += length
    return "-".join(part for part in parts if part)


def _ambiguity(name: str, candidates: list[Run]) -> str:
    length = next(
        size
        for size in range(_SHORT, _DIGITS + len(_GROUPS))
        if len({run.run_id[:size] for run in candidates}) == len(candidates)
    )
    told = [f"{run.run_id[:length]} ({run.job_name}, {run.state.value})" for run in candidates[:_MOST_NAMED]]
    more = " and others" if len(candidates) > _MOST_NAMED else ""
    return f"{name!r} begins the ids of several runs, so write more of it: {', '.join(told)}{more}"
