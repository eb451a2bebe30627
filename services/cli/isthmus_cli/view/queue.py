"""The run queue, its limits, and why a run waits."""

from collections.abc import Iterator, Sequence

import yaml  # type: ignore[import-untyped]
from isthmus.v1.control_plane_pb2 import (
    PausedThing,
    PauseKind,
    Queue,
    QueueSettings,
    QueueSettingsRevision,
    RunExplanation,
    SlotUse,
    Station,
    WaitReason,
)

from isthmus_cli.document import enum_text
from isthmus_cli.queue_file import settings_document
from isthmus_cli.run_name import brief_id
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import age_text, brief_age, columns, count_text, duration_text, moment_text, seconds_between

#: As many are counted that go first.
_MOST_AHEAD = 1_000


def queue_lines(queue: Queue, *, paint: Paint) -> list[str]:
    """Tell how the queue stands."""
    head = f"{paint.bold(count_text(queue.depth, 'run'))} {'waits' if queue.depth == 1 else 'wait'}"
    since = f", the oldest came {age_text(queue.oldest_queued_at)}" if queue.HasField("oldest_queued_at") else ""
    left = count_text(queue.left_last_minute, "run")
    lines = [f"{head}{since}; {left} left the queue in the last minute, {queue.under_way} under way."]
    if queue.reasons:
        rows = [(str(it.runs), brief_age(it.oldest_queued_at), it.text) for it in queue.reasons]
        lines += ["", *columns(("RUNS", "OLDEST", "WAIT FOR"), rows)]
    if queue.slots:
        uses = [(f"{it.taken} of {it.limit}", _slot_text(it) + _waiting_text(it)) for it in queue.slots]
        lines += ["", *columns(("TAKEN", "LIMIT OF"), uses)]
    if queue.pauses:
        lines += ["", *(paint.yellow(pause_text(it)) for it in queue.pauses)]
    return lines


def settings_lines(settings: QueueSettings) -> list[str]:
    """Write limits as the document that would set them."""
    text: str = yaml.safe_dump(settings_document(settings), sort_keys=False, allow_unicode=True)
    return text.splitlines()


def revision_text(revision: QueueSettingsRevision) -> str:
    """Tell which limits these are, and who set them."""
    if not revision.revision:
        return "No limits were ever set."
    by = f" by {revision.changed_by}" if revision.changed_by else ""
    return f"Revision {revision.revision}, set{by} {moment_text(revision.changed_at)}."


def pause_text(paused: PausedThing) -> str:
    """Tell what is paused, by whom and why."""
    kind = enum_text(paused.kind, descriptor=PauseKind.DESCRIPTOR).lower()
    subject = f"The {kind}" if not paused.name else f"{kind.capitalize()} {paused.name}"
    by = f" by {paused.paused_by}" if paused.paused_by else ""
    why = f": {paused.why}" if paused.why else ""
    return f"{subject} was paused{by} {moment_text(paused.paused_at)}{why}"


def explanation_lines(explanation: RunExplanation, *, paint: Paint) -> list[str]:
    """Tell why a run waits, what needs a person first, and where its time went."""
    run = explanation.run
    lines = [f"{paint.bold(run.request.run.run_id)}  {paint.run_state(run.state)}"]
    lines += wait_lines(explanation, paint=paint)
    if explanation.stations:
        lines += ["", *columns(("STATION", "TOOK", "SINCE"), _station_rows(explanation.stations))]
    return lines


def wait_lines(explanation: RunExplanation, *, paint: Paint) -> list[str]:
    """Tell why a run or its steps wait; nothing of one that does not."""
    if not explanation.reasons:
        return []
    are_steps = any(reason.step_key for reason in explanation.reasons)
    lines = [
        "",
        "Steps of it wait" if are_steps else "It waits, because",
        *_reason_lines(explanation.reasons, paint=paint),
    ]
    if explanation.ahead:
        more = " or more" if explanation.ahead >= _MOST_AHEAD else ""
        lines.append(f"  {count_text(explanation.ahead, 'run')}{more} held back by the same go first.")
    return lines


def _reason_lines(reasons: Sequence[WaitReason], *, paint: Paint) -> Iterator[str]:
    for number, reason in enumerate(reasons, start=1):
        yield f"  {number}. {paint.yellow(reason.text)}"
        for holder in reason.holders:
            job = f"{holder.job_name} of {holder.location}" if holder.job_name else holder.location
            step = f"step {holder.step_key} of " if holder.step_key else ""
            yield f"       {brief_id(holder.run_id)}  {step}{job}, since {age_text(holder.since)}"
        if reason.remedy:
            yield paint.dim(f"     {reason.remedy}")


def _station_rows(stations: Sequence[Station]) -> Iterator[tuple[str, str, str]]:
    for it in stations:
        took = duration_text(seconds_between(it.began_at, it.ended_at)) if it.HasField("ended_at") else "-"
        yield it.name, took, moment_text(it.began_at)


def _slot_text(slot: SlotUse) -> str:
    return "runs of the deployment" if slot.kind == "runs" else f"{slot.kind} {slot.name}"


def _waiting_text(slot: SlotUse) -> str:
    return f", {count_text(slot.waiting, 'step')} {'waits' if slot.waiting == 1 else 'wait'}" if slot.waiting else ""
