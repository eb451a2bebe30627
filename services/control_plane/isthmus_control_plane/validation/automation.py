"""What requests about schedules and sensors must look like by themselves."""

from typing import Final

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.request import MAX_PAGE, MAX_STATES

MAX_PREVIEW: Final = 1000
#: The longest cursor that a person may set, characters.
MAX_CURSOR: Final = 1_000_000


def list_automations(request: api.ListAutomationsRequest) -> list[Violation]:
    """List the faults of a ListAutomations request."""
    return [
        *field.optional_name(request.deployment, field="deployment"),
        *field.optional_name(request.location, field="location"),
        *_kind(request.kind, field="kind"),
    ]


def of_automation(ref: api.AutomationRef, *, field_name: str = "") -> list[Violation]:
    """List the faults of what names one schedule or sensor."""
    prefix = f"{field_name}." if field_name else ""
    violations = [
        *field.optional_name(ref.deployment, field=f"{prefix}deployment"),
        *field.optional_name(ref.location, field=f"{prefix}location"),
        *_kind(ref.kind, field=f"{prefix}kind"),
        *field.text(ref.name, field=f"{prefix}name", max_chars=MAX_TEXT),
    ]
    return (
        violations if ref.name else [*violations, Violation(f"{prefix}name", "is missing: name a schedule or a sensor")]
    )


def decide_automation(request: api.DecideAutomationRequest) -> list[Violation]:
    """List the faults of a StartAutomation or StopAutomation request."""
    return [
        *of_automation(request.automation, field_name="automation"),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def list_ticks(request: api.ListTicksRequest) -> list[Violation]:
    """List the faults of a ListTicks request."""
    return [
        *of_automation(request.automation, field_name="automation"),
        *_number(request.page_size, field="page_size", most=MAX_PAGE, default=50),
        *field.count(len(request.statuses), field="statuses", most=MAX_STATES),
    ]


def preview_ticks(request: api.PreviewTicksRequest) -> list[Violation]:
    """List the faults of a PreviewTicks request."""
    return [
        *of_automation(request.automation, field_name="automation"),
        *_number(request.count, field="count", most=MAX_PREVIEW, default=10),
    ]


def test_tick(request: api.TestTickRequest) -> list[Violation]:
    """List the faults of a TestTick request."""
    return of_automation(request.automation, field_name="automation")


def set_cursor(request: api.SetCursorRequest) -> list[Violation]:
    """List the faults of a SetCursor request."""
    return [
        *of_automation(request.automation, field_name="automation"),
        *field.text(request.cursor, field="cursor", max_chars=MAX_CURSOR),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def _kind(kind: int, *, field: str) -> list[Violation]:
    if kind in api.AutomationKind.values():
        return []
    return [Violation(field, "is none that this release knows: schedules and sensors are")]


def _number(value: int, *, field: str, most: int, default: int) -> list[Violation]:
    return [Violation(field, f"must be 1 to {most}, or 0 for {default}; got {value}")] if value > most else []
