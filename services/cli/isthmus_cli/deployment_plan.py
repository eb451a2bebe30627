"""What a deploy changes: of settings before it begins, of definitions once they are loaded. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from google.protobuf.message import Message
from isthmus.v1.control_plane_pb2 import (
    AlertPolicy,
    Location,
    LocationSettings,
    QueueSettings,
    SyncAlertPoliciesResponse,
)
from isthmus.v1.telemetry_pb2 import LocationSnapshot

from isthmus_cli.alert_entry import policy_document
from isthmus_cli.document import to_document
from isthmus_cli.queue_file import settings_document
from isthmus_cli.view.text import asset_text

#: Values that only their owner should see again.
_SILENT: Final = ("env.", "container.env.")
_HIDDEN: Final = "(hidden)"


class Change(StrEnum):
    """What becomes of something."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    #: It is there, and not in the file.
    LEFT = "left alone"


@dataclass(frozen=True)
class FieldChange:
    """A setting that changes."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class SettingsChange:
    """What becomes of a location, or of an alert policy."""

    name: str
    change: Change
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that a deploy changes, known before it begins."""

    locations: tuple[SettingsChange, ...]
    queue: tuple[FieldChange, ...] = ()
    alerts: tuple[SettingsChange, ...] = ()

    @property
    def changes_something(self) -> bool:
        """Whether anything is different after it."""
        still = (Change.UNCHANGED, Change.LEFT)
        return bool(self.queue) or any(it.change not in still for it in (*self.locations, *self.alerts))


@dataclass(frozen=True)
class DefinitionChange:
    """A job, asset, schedule or sensor that came, went, or is another one."""

    kind: str
    name: str
    change: Change


def plan(wanted: Sequence[LocationSettings], *, there: Iterable[Location], is_pruned: bool) -> Plan:
    """Compare the locations that a file wants with those that are there."""
    known = {it.settings.name: it.settings for it in there}
    named = {it.name for it in wanted}
    changes = [_location_change(it, known.get(it.name)) for it in wanted]
    rest = Change.REMOVED if is_pruned else Change.LEFT
    changes += [SettingsChange(name, rest) for name in sorted(known) if name not in named]
    return Plan(tuple(changes))


def alert_changes(
    wanted: Iterable[AlertPolicy], *, there: Iterable[AlertPolicy], told: SyncAlertPoliciesResponse
) -> list[SettingsChange]:
    """Say of each alert policy what becomes of it, as the control plane tells, and which fields change.

    Receivers hold secrets, and are hidden: that they change is told where nothing else does.
    """
    before, after = ({it.name: _policy(it) for it in those} for those in (there, wanted))
    found = [SettingsChange(name, Change.ADDED) for name in told.added]
    for name in told.changed:
        fields = tuple(_differences(before.get(name, {}), after[name]))
        hidden = FieldChange("to", _HIDDEN, _HIDDEN)
        found.append(SettingsChange(name, Change.CHANGED, fields or (hidden,)))
    found += [SettingsChange(name, Change.UNCHANGED) for name in told.unchanged]
    found += [SettingsChange(name, Change.REMOVED) for name in told.removed]
    return found + [SettingsChange(name, Change.LEFT) for name in told.kept]


def _policy(policy: AlertPolicy) -> dict[str, str]:
    document = policy_document(policy)
    del document["to"]
    return _flat(document)


def queue_changes(before: QueueSettings, after: QueueSettings) -> list[FieldChange]:
    """Compare the settings of a queue."""
    return list(_differences(_flat(settings_document(before)), _flat(settings_document(after))))


def definition_changes(before: LocationSnapshot, after: LocationSnapshot) -> list[DefinitionChange]:
    """Compare what a location defined with what it defines."""
    old, new = dict(_definitions(before)), dict(_definitions(after))
    found = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            found.append(DefinitionChange(*key, Change.ADDED))
        elif key not in new:
            found.append(DefinitionChange(*key, Change.REMOVED))
        elif old[key] != new[key]:
            found.append(DefinitionChange(*key, Change.CHANGED))
    return found


def _definitions(snapshot: LocationSnapshot) -> Iterator[tuple[tuple[str, str], Message]]:
    for job in snapshot.jobs:
        # It follows from the assets, which are compared by themselves.
        if not job.is_implicit_asset_job:
            yield ("job", job.name), job
    for asset in snapshot.assets:
        yield ("asset", asset_text(asset.key)), asset
    for schedule in snapshot.schedules:
        yield ("schedule", schedule.name), schedule
    for sensor in snapshot.sensors:
        yield ("sensor", sensor.name), sensor
    for resource in snapshot.resources:
        yield ("resource", resource.name), resource


def _location_change(wanted: LocationSettings, known: LocationSettings | None) -> SettingsChange:
    if known is None:
        return SettingsChange(wanted.name, Change.ADDED)
    fields = tuple(_differences(_flat(_settled(known)), _flat(_settled(wanted))))
    return SettingsChange(wanted.name, Change.CHANGED if fields else Change.UNCHANGED, fields)


def _settled(settings: LocationSettings) -> dict[str, Any]:
    document = to_document(settings)
    document["pool"] = document["pool"] or "default"
    # Said or not, one is one.
    document["replicas"] = max(document["replicas"], 1)
    return document


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[FieldChange]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, ""), after.get(name, "")
        if old == new:
            continue
        if name.startswith(_SILENT):
            old, new = (_HIDDEN if old else ""), (_HIDDEN if new else "")
        yield FieldChange(name, old, new)


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Return the leaves of a document by their paths; what is empty is left out."""
    if isinstance(value, Mapping):
        parts = [_flat(it, f"{path}.{key}" if path else str(key)) for key, it in value.items()]
        return {key: leaf for part in parts for key, leaf in part.items()}
    if isinstance(value, list):
        parts = [_flat(it, f"{path}[{number}]") for number, it in enumerate(value)]
        return {key: leaf for part in parts for key, leaf in part.items()}
    # A limit of 0 is one.
    return {} if value is None or value == "" else {path: str(value)}
