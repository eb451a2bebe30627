"""Alert policies, and what was told by them."""

from collections.abc import Iterable, Sequence

import yaml  # type: ignore[import-untyped]
from isthmus.v1.control_plane_pb2 import Alert, AlertDelivery, AlertPolicyState, SyncAlertPoliciesResponse

from isthmus_cli.alert_entry import policy_document
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import age_text, count_text, moment_text


def change_lines(changes: SyncAlertPoliciesResponse, *, paint: Paint, is_dry_run: bool) -> list[str]:
    """Tell what a sync changed, or would."""
    parts: dict[str, tuple[str, Sequence[str]]] = {
        paint.green("+"): ("added", changes.added),
        paint.yellow("~"): ("changed", changes.changed),
        paint.red("-"): ("removed", changes.removed),
    }
    lines = [f"{sign} {name} {verb}" for sign, (verb, names) in parts.items() for name in names]
    if is_dry_run:
        lines = [f"{line} (not done: --dry-run)" for line in lines]
    if not lines:
        lines = [f"Nothing changes: what is in the file is there ({len(changes.unchanged)})."]
    if changes.kept:
        lines.append(f"Not in the file, and kept: {', '.join(changes.kept)}. Remove with --prune.")
    return lines


def policy_table(policies: Iterable[AlertPolicyState], *, paint: Paint, room: Room) -> list[str]:
    """List policies."""
    columns = (
        Column("POLICY"),
        Column("ON", least=12),
        Column("TO", least=12),
        Column("LASTS"),
        Column("STATE"),
        Column("CHANGED", may_go=True),
        Column("BY", is_extra=True),
    )
    rows = [
        (
            paint.bold(it.policy.name),
            ", ".join(it.policy.on),
            ", ".join(receiver_text(one) for one in policy_document(it.policy)["to"]),
            str(it.open or "-"),
            paint.yellow("muted") if it.HasField("mute") else "on",
            age_text(it.changed_at),
            it.changed_by,
        )
        for it in policies
    ]
    return table(columns, rows, room=room)


def receiver_text(receiver: dict[str, object]) -> str:
    """Name a receiver."""
    match receiver:
        case {"webhook": {"url": url}}:
            return str(url)
        case {"email": {"to": list(to)}}:
            return ", ".join(map(str, to))
        case _:
            return str(receiver.get("apprise", ""))


def policy_lines(state: AlertPolicyState) -> list[str]:
    """Write a policy as its file has it."""
    document = {"policies": [policy_document(state.policy)]}
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text.splitlines()


def policy_note(state: AlertPolicyState) -> str:
    """Tell who changed a policy, and whether it tells."""
    by = f" by {state.changed_by}" if state.changed_by else ""
    said = f"Policy {state.policy.name}, revision {state.revision}, changed{by} {moment_text(state.changed_at)}."
    if state.open:
        said += f" {count_text(state.open, 'thing')} that it told {'lasts' if state.open == 1 else 'last'}."
    if state.HasField("mute"):
        mute = state.mute
        until = f"until {moment_text(mute.until)}" if mute.HasField("until") else "until it is unmuted"
        who = f" by {mute.muted_by}" if mute.muted_by else ""
        said += f" Muted{who} {until}{f': {mute.why}' if mute.why else ''}."
    return said


def history_table(alerts: Iterable[Alert], *, paint: Paint, room: Room) -> list[str]:
    """List what was told."""
    columns = (
        Column("TOLD"),
        Column("POLICY", may_go=True),
        Column("KIND"),
        Column("WHAT", least=16),
        Column("RECEIVERS", least=16),
    )
    rows = [
        (moment_text(it.at), it.policy or "-", it.kind, it.title or it.subject, deliveries_text(it, paint=paint))
        for it in alerts
    ]
    return table(columns, rows, room=room)


def deliveries_text(alert: Alert, *, paint: Paint) -> str:
    """Tell what came of an alert's deliveries in a line."""
    if not alert.deliveries:
        return paint.dim("nobody")
    return "; ".join(_delivery_text(it, paint=paint) for it in alert.deliveries)


def alert_lines(alert: Alert, *, paint: Paint) -> list[str]:
    """Tell one alert, with a line for each receiver."""
    return [paint.bold(alert.title), *(f"  {_delivery_text(it, paint=paint)}" for it in alert.deliveries)]


def _delivery_text(it: AlertDelivery, *, paint: Paint) -> str:
    if it.HasField("delivered_at"):
        return f"{paint.green('✓')} {it.receiver}"
    if it.HasField("gave_up_at"):
        return f"{paint.red('✗')} {it.receiver}: {it.last_error}, given up"
    problem = f": {it.last_error}, tried again" if it.last_error else ""
    return f"{paint.yellow('…')} {it.receiver}{problem}"
