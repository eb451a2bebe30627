"""What requests about backfills must look like by themselves."""

import re
from typing import Final

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.request import (
    MAX_PAGE,
    MAX_QUERIES,
    MAX_QUERY,
    MAX_RUN_CONFIG_BYTES,
    MAX_STATES,
    MAX_TAG_VALUE,
    MAX_TAGS,
    asset_selection,
)

#: How many runs of a backfill may be unfinished at once: the queue keeps what it knows of all that wait in memory.
MAX_RUNS: Final = 1_000
#: Keys and ranges that one request may name; `is_all` and ranges mean any number of partitions.
MAX_KEYS: Final = 100_000
#: Runs of one backfill.
MAX_PARTITIONS: Final = 1_000_000
#: Where runs wait for others, all of them are looked at when one ends.
MAX_DEPENDENT_RUNS: Final = 20_000
MAX_RUNS_PAGE: Final = 1_000
_ID: Final = re.compile(r"[a-z]{8}")


def create(request: api.CreateBackfillRequest) -> list[Violation]:
    """List the faults of a CreateBackfill or PreviewBackfill request."""
    violations = [
        *field.optional_name(request.deployment, field="deployment"),
        *(_id(request.backfill_id, field_name="backfill_id") if request.backfill_id else ()),
        *(field.optional_name if not request.job_name else field.name)(request.location, field="location"),
        *field.text(request.job_name, field="job_name", max_chars=MAX_TEXT),
        *field.json_object(request.run_config_json, field="run_config_json", max_bytes=MAX_RUN_CONFIG_BYTES),
        *field.pairs(request.tags, field="tags", most=MAX_TAGS, max_key=MAX_TEXT, max_value=MAX_TAG_VALUE),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *field.texts(request.asset_queries, field="asset_queries", most=MAX_QUERIES, max_chars=MAX_QUERY),
        *asset_selection(request.asset_selection),
        *_partitions(request),
    ]
    is_selected = bool(request.asset_selection or request.asset_queries)
    if request.job_name and is_selected:
        violations.append(Violation("job_name", "excludes asset_selection and asset_queries: give one of the two"))
    if not request.job_name and not is_selected:
        violations.append(Violation("job_name", "is missing: name a job with partitions, or select assets"))
    if request.max_runs > MAX_RUNS:
        violations.append(
            Violation("max_runs", f"must be 1 to {MAX_RUNS:,}, or 0 for {MAX_RUNS:,}; got {request.max_runs:,}")
        )
    return violations


def _partitions(request: api.CreateBackfillRequest) -> list[Violation]:
    violations = field.texts(request.partition_keys, field="partition_keys", most=MAX_KEYS, max_chars=MAX_TEXT)
    violations += field.count(len(request.ranges), field="ranges", most=MAX_KEYS)
    for index, it in enumerate(request.ranges if not violations else ()):
        for name, key in (("first", it.first), ("last", it.last)):
            path = f"ranges[{index}].{name}"
            violations += field.text(key, field=path, max_chars=MAX_TEXT)
            violations += [] if key else [Violation(path, "is missing: both ends of a range are named")]
    is_named = bool(request.partition_keys or request.ranges)
    if request.is_all and is_named:
        violations.append(Violation("is_all", "excludes partition_keys and ranges: give one of the two"))
    if not request.is_all and not is_named:
        violations.append(Violation("partition_keys", "are missing: name partitions or ranges, or say is_all"))
    return violations


def of_backfill(*, deployment: str, backfill_id: str, field_name: str = "backfill_id") -> list[Violation]:
    """List the faults of what names one backfill."""
    return [*field.optional_name(deployment, field="deployment"), *_id(backfill_id, field_name=field_name)]


def list_backfills(request: api.ListBackfillsRequest) -> list[Violation]:
    """List the faults of a ListBackfills request."""
    violations = [
        *field.optional_name(request.deployment, field="deployment"),
        *field.optional_name(request.location, field="location"),
        *field.text(request.job_name, field="job_name", max_chars=MAX_TEXT),
        *field.count(len(request.states), field="states", most=MAX_STATES),
        *field.page_size(request.page_size, most=MAX_PAGE),
    ]
    if request.page_token and not (request.page_token.isascii() and request.page_token.isdecimal()):
        violations.append(Violation("page_token", "is none that a page ended with"))
    known = api.BackfillState.values()
    for index, state in enumerate(request.states[:MAX_STATES]):
        if state not in known or state == api.BACKFILL_STATE_UNSPECIFIED:
            violations.append(Violation(f"states[{index}]", f"{int(state)} is no state of a backfill"))
    return violations


def list_runs(request: api.ListBackfillRunsRequest) -> list[Violation]:
    """List the faults of a ListBackfillRuns request."""
    return [
        *of_backfill(deployment=request.deployment, backfill_id=request.backfill_id),
        *field.page_size(request.page_size, most=MAX_RUNS_PAGE),
        *(
            [Violation("after_number", f"must be at most {MAX_PARTITIONS:,}; got {request.after_number:,}")]
            if request.after_number > MAX_PARTITIONS
            else []
        ),
    ]


def decide(request: api.DecideBackfillRequest) -> list[Violation]:
    """List the faults of a CancelBackfill, PauseBackfill or ResumeBackfill request."""
    return [
        *of_backfill(deployment=request.deployment, backfill_id=request.backfill_id),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def retry(request: api.RetryBackfillRequest) -> list[Violation]:
    """List the faults of a RetryBackfill request."""
    parent = of_backfill(
        deployment=request.deployment, backfill_id=request.parent_backfill_id, field_name="parent_backfill_id"
    )
    return [
        *parent,
        *(_id(request.backfill_id, field_name="backfill_id") if request.backfill_id else ()),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def _id(value: str, *, field_name: str) -> list[Violation]:
    if not value:
        return [Violation(field_name, "is missing")]
    if _ID.fullmatch(value):
        return []
    return [Violation(field_name, f"must be eight lower-case letters, as in 'kqzhxvbt'; got {field.shown(value)}")]
