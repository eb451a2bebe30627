"""Lists of runs, newest first, in pages that stay right while runs are added: keyset paging over (queued_at, run_id)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from sqlalchemy import Select, and_, exists, or_, select

from isthmus_store.column import from_microseconds, to_microseconds
from isthmus_store.errors import InvalidCursorError
from isthmus_store.record.run import Run
from isthmus_store.state import RunState
from isthmus_store.table.run import RUN_TAGS, RUNS
from isthmus_store.transaction import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCursor:
    """The last run of a page: the next one goes on after it."""

    queued_at: datetime
    run_id: str

    def encode(self) -> str:
        """Return the cursor as an opaque token that is safe in a URL."""
        text = f"{to_microseconds(self.queued_at)}:{self.run_id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, token: str) -> Self:
        """Return the cursor of a token.

        Raises:
            InvalidCursorError: the token was not made by `encode`.
        """
        try:
            text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
            microseconds, _, run_id = text.partition(":")
            return cls(queued_at=from_microseconds(int(microseconds)), run_id=run_id)
        except (binascii.Error, ValueError, OverflowError) as exc:
            raise InvalidCursorError(token=token) from exc


@dataclass(frozen=True, kw_only=True, slots=True)
class RunQuery:
    """Which runs; what is left empty does not restrict."""

    deployment: str
    location: str = ""
    job_name: str = ""
    states: frozenset[RunState] = frozenset()
    #: All of these must be on the run.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: A part of the job's name or the beginning of the id, whatever the case of its letters.
    text: str = ""
    #: Exclusive.
    queued_after: datetime | None = None
    #: Exclusive.
    queued_before: datetime | None = None
    page_size: int = 50
    after: RunCursor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    """Runs, newest first; `next` is None on the last page."""

    runs: tuple[Run, ...]
    next: RunCursor | None


async def page(tx: Transaction, query: RunQuery) -> RunPage:
    """Return one page of the runs that the query asks for."""
    statement = _filtered(query).order_by(RUNS.c.queued_at.desc(), RUNS.c.run_id.desc()).limit(query.page_size + 1)
    found = await tx.all(Run, statement)
    shown = tuple(found[: query.page_size])
    has_more = len(found) > query.page_size
    following = RunCursor(queued_at=shown[-1].queued_at, run_id=shown[-1].run_id) if has_more else None
    return RunPage(runs=shown, next=following)


def _filtered(query: RunQuery) -> Select[tuple[object, ...]]:
    conditions = [RUNS.c.deployment == query.deployment]
    if query.location:
        conditions.append(RUNS.c.location == query.location)
    if query.job_name:
        conditions.append(RUNS.c.job_name == query.job_name)
    if query.states:
        conditions.append(RUNS.c.state.in_(sorted(query.states)))
    if query.queued_after is not None:
        conditions.append(RUNS.c.queued_at > query.queued_after)
    if query.queued_before is not None:
        conditions.append(RUNS.c.queued_at < query.queued_before)
    if query.text:
        is_named = RUNS.c.job_name.icontains(query.text, autoescape=True)
        conditions.append(or_(is_named, RUNS.c.run_id.startswith(query.text.lower(), autoescape=True)))
    for key, value in query.tags.items():
        is_tagged = and_(RUN_TAGS.c.run_id == RUNS.c.run_id, RUN_TAGS.c.key == key, RUN_TAGS.c.value == value)
        conditions.append(exists().where(is_tagged))
    if query.after is not None:
        at, run_id = query.after.queued_at, query.after.run_id
        conditions.append(or_(RUNS.c.queued_at < at, and_(RUNS.c.queued_at == at, RUNS.c.run_id < run_id)))
    return select(RUNS).where(*conditions)
