"""Backfills: as lists, one whole with its decisions, and their runs."""

from collections.abc import Iterable, Sequence

from isthmus.v1.control_plane_pb2 import (
    Backfill,
    BackfillDetail,
    BackfillGroup,
    BackfillPreview,
    BackfillProgress,
    BackfillRun,
    BackfillState,
    BackfillWait,
)
from isthmus.v1.telemetry_pb2 import PartitionRange
from isthmus_client.words.run import assets_text

from isthmus_cli.document import enum_text
from isthmus_cli.errors import InputError
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, short_ids, table
from isthmus_cli.view.text import age_text, asset_text, brief_age, columns, count_text, moment_text

_BACKFILLS = (
    Column("BACKFILL"),
    Column("OF", least=8),
    Column("STATE"),
    Column("PARTITIONS"),
    Column("PROGRESS", least=16),
    Column("CREATED"),
    Column("LOCATION", is_extra=True),
    Column("BY", is_extra=True),
)
_RUNS = (
    Column("PARTITIONS", least=10),
    Column("MAKES", least=8),
    Column("RUN"),
    Column("STATE"),
    Column("PROBLEM", least=16),
)
#: Runs of a preview that are shown.
_SHOWN = 10


def backfill_states(words: Iterable[str]) -> list["BackfillState.ValueType"]:
    """Read names of states.

    Raises:
        InputError: One of them is none.
    """
    known = {
        name.removeprefix("BACKFILL_STATE_"): number
        for name, number in BackfillState.items()
        if number != BackfillState.BACKFILL_STATE_UNSPECIFIED
    }
    found = []
    for word in words:
        if word.upper() not in known:
            raise InputError(f"--state {word} is no state of a backfill.", remedy=f"One of: {', '.join(known).lower()}")
        found.append(known[word.upper()])
    return found


def backfill_table(backfills: Iterable[Backfill], *, paint: Paint, room: Room) -> list[str]:
    """List backfills, one per line."""
    rows = [
        (
            it.backfill_id,
            subject_text(it),
            _state_text(it, paint=paint),
            str(it.partitions),
            progress_text(it.progress),
            brief_age(it.created_at),
            it.location,
            it.requested_by or "-",
        )
        for it in backfills
    ]
    return table(_BACKFILLS, rows, room=room)


def backfill_lines(detail: BackfillDetail, *, paint: Paint) -> list[str]:
    """Tell one backfill whole."""
    it = detail.backfill
    facts = [
        ("backfill", paint.bold(it.backfill_id)),
        ("of", f"{subject_text(it)} of {it.location or 'several locations'}"),
        ("state", _state_text(it, paint=paint)),
        ("partitions", f"{it.partitions} in {count_text(it.runs, 'run')}"),
        ("progress", progress_text(it.progress)),
        ("at once", count_text(it.max_runs, "run")),
        ("does again", f"what failed of {it.parent_backfill_id}" if it.parent_backfill_id else ""),
        ("created", f"{moment_text(it.created_at)}{f' by {it.requested_by}' if it.requested_by else ''}"),
        ("ended", moment_text(it.ended_at) if it.HasField("ended_at") else ""),
        ("paused", f"{age_text(it.paused_at)} by {it.paused_by or 'somebody'}" if it.HasField("paused_at") else ""),
    ]
    width = max(len(name) for name, _ in facts)
    lines = [f"{name:{width}}  {value}" for name, value in facts if value]
    if len(it.groups) > 1:
        made = [(str(index), group_text(each), _wait_text(each)) for index, each in enumerate(it.groups, start=1)]
        lines += ["", *columns(("MADE", "TOGETHER", "WAITS FOR"), made)]
    if detail.decisions:
        rows = [(moment_text(each.at), str(each.runs) if each.runs else "-", each.text) for each in detail.decisions]
        lines += ["", *columns(("WHEN", "RUNS", "WHAT WAS DECIDED"), rows)]
    return lines


def preview_lines(preview: BackfillPreview, *, paint: Paint) -> list[str]:
    """Tell which runs there would be."""
    head = f"{count_text(preview.runs, 'run')} for {count_text(preview.partitions, 'partition')}"
    lines = [f"{paint.bold(head)}, at the most {preview.max_runs} of them unfinished at once."]
    is_of_one = len(preview.groups) <= 1
    for it in preview.first_runs[:_SHOWN]:
        what = "" if is_of_one else f"  {group_text(preview.groups[it.group])}"
        lines.append(f"  {range_text(it.partitions)}{what}")
    if preview.runs > _SHOWN:
        lines.append(paint.dim(f"  and {preview.runs - _SHOWN} more"))
    return lines


def run_table(runs: Sequence[BackfillRun], *, groups: Sequence[BackfillGroup], paint: Paint, room: Room) -> list[str]:
    """List runs of a backfill, one per line."""
    ids = short_ids([it.run_id for it in runs], room=room)
    rows = [
        (
            range_text(it.partitions),
            group_text(groups[it.group]) if it.group < len(groups) else "-",
            run_id or "-",
            _run_state_text(it, paint=paint),
            it.problem or "-",
        )
        for it, run_id in zip(runs, ids, strict=True)
    ]
    return table(_RUNS, rows, room=room)


def made_text(backfill: Backfill) -> str:
    """Tell what was made."""
    what = f"{count_text(backfill.runs, 'run')} for {count_text(backfill.partitions, 'partition')}"
    return f"{what}. Follow it: isthmus backfill show {backfill.backfill_id}"


def standing_text(backfill: Backfill) -> str:
    """Tell how a backfill stands now."""
    state = enum_text(backfill.state, descriptor=BackfillState.DESCRIPTOR)
    return f"Backfill {backfill.backfill_id} is {state}: {progress_text(backfill.progress)}."


def subject_text(it: Backfill) -> str:
    """Name what its runs execute."""
    keys = [key for group in it.groups for key in group.assets]
    return assets_text(keys) if keys else str(it.job_name)


def group_text(group: BackfillGroup) -> str:
    """Name what is made together."""
    return ", ".join(asset_text(key) for key in group.assets) or str(group.job_name)


def progress_text(progress: BackfillProgress) -> str:
    """Tell how many partitions came to what; what is 0 is left out."""
    counts = (
        (progress.succeeded, "succeeded"),
        (progress.failed, "failed"),
        (progress.canceled, "canceled"),
        (progress.under_way, "under way"),
        (progress.waiting, "waiting"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing"


def range_text(partitions: PartitionRange) -> str:
    """Name partitions that lie side by side."""
    if partitions.first == partitions.last:
        return str(partitions.first) or "-"
    return f"{partitions.first}..{partitions.last}"


def _wait_text(group: BackfillGroup) -> str:
    texts = {
        BackfillWait.FOR_SAME_PARTITIONS: "the same partitions of {}",
        BackfillWait.FOR_ALL: "all of {}",
        BackfillWait.FOR_EARLIER: "its own earlier partitions",
    }
    return ", ".join(texts.get(it.what, "{}").format(it.group + 1) for it in group.waits) or "-"


def _state_text(it: Backfill, *, paint: Paint) -> str:
    text = enum_text(it.state, descriptor=BackfillState.DESCRIPTOR)
    match it.state:
        case BackfillState.BACKFILL_STATE_SUCCEEDED:
            return paint.green(text)
        case BackfillState.BACKFILL_STATE_FAILED:
            return paint.red(text)
        case BackfillState.BACKFILL_STATE_RUNNING:
            return paint.cyan(text)
    return paint.yellow(text)


def _run_state_text(it: BackfillRun, *, paint: Paint) -> str:
    if it.state:
        return paint.run_state(it.state)
    if it.is_given_up:
        return paint.yellow("GIVEN UP")
    if it.problem:
        return paint.red("REFUSED" if not it.run_id else "GONE")
    return paint.dim("WAITING")
