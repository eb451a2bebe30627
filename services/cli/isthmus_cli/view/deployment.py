"""What a deploy changes, in words."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from isthmus_cli.deployment_plan import Change, DefinitionChange, FieldChange, Plan, SettingsChange
from isthmus_cli.view.paint import Paint

_SIGNS = {Change.ADDED: "+", Change.CHANGED: "~", Change.REMOVED: "-", Change.UNCHANGED: "=", Change.LEFT: "="}


def plan_lines(plan: Plan, *, paint: Paint) -> list[str]:
    """Tell what settings change."""
    lines = _settings_lines("location", plan.locations, paint=paint)
    if plan.queue:
        lines.append(_marked(Change.CHANGED, "queue: changed", paint=paint))
        lines += [f"    {_field(field)}" for field in plan.queue]
    return lines + _settings_lines("alert policy", plan.alerts, paint=paint)


def _settings_lines(kind: str, changes: Iterable[SettingsChange], *, paint: Paint) -> list[str]:
    lines = []
    for it in changes:
        hint = ", it is not in the file (--prune removes it)" if it.change is Change.LEFT else ""
        lines.append(_marked(it.change, f"{kind} {it.name}: {it.change}{hint}", paint=paint))
        lines += [f"    {_field(field)}" for field in it.fields]
    return lines


def definition_lines(changes: Sequence[DefinitionChange], *, paint: Paint) -> list[str]:
    """Tell what definitions came, went and changed."""
    lines = []
    for (kind, change), group in groupby(_ordered(changes), key=lambda it: (it.kind, it.change)):
        names = [it.name for it in group]
        lines.append("    " + _marked(change, f"{kind} {', '.join(names)}", paint=paint))
    return lines


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan for scripts."""
    return {
        "locations": [_settings_document(it) for it in plan.locations],
        "queue": [_as_document(field) for field in plan.queue],
        "alerts": [_settings_document(it) for it in plan.alerts],
    }


def _settings_document(change: SettingsChange) -> dict[str, Any]:
    fields = [_as_document(field) for field in change.fields]
    return {"name": change.name, "change": change.change.name.lower(), "fields": fields}


def _as_document(field: FieldChange) -> dict[str, str]:
    return {"name": field.name, "before": field.before, "after": field.after}


def _ordered(changes: Iterable[DefinitionChange]) -> list[DefinitionChange]:
    return sorted(changes, key=lambda it: (it.kind, it.change, it.name))


def _field(field: FieldChange) -> str:
    if not field.before:
        return f"{field.name}: {field.after}"
    return f"{field.name}: {field.before} → {field.after or 'the default'}"


def _marked(change: Change, text: str, *, paint: Paint) -> str:
    line = f"{_SIGNS[change]} {text}"
    match change:
        case Change.ADDED:
            return paint.green(line)
        case Change.CHANGED:
            return paint.yellow(line)
        case Change.REMOVED:
            return paint.red(line)
        case _:
            return paint.dim(line)
