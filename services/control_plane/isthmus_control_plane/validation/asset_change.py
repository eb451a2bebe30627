"""What requests must look like that change what is known of an asset, by themselves and beside the asset's definition."""

from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import CheckSeverity

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.assets import of_asset
from isthmus_control_plane.validation.definition import KEY_SEPARATOR, Asset, Partitions
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.request import MAX_PAGE, MAX_TAG_VALUE, MAX_TAGS
from isthmus_control_plane.validation.suggestion import unknown

#: Partitions that one request names.
MAX_PARTITIONS: Final = 1000
#: Entries of metadata, and characters of a description.
_MAX_METADATA: Final = 1000
_MAX_DESCRIPTION: Final = 100_000


def report(request: api.ReportAssetEventRequest) -> list[Violation]:
    """List the faults of a ReportAssetEvent request."""
    kind = request.WhichOneof("event")
    if kind is None:
        return [
            *field.optional_name(request.deployment, field="deployment"),
            Violation("event", "is missing: say materialized, observed or check_evaluated"),
        ]
    body = getattr(request, kind)
    faults = of_asset(deployment=request.deployment, key=body.asset, at=f"{kind}.asset")
    faults += field.text(body.partition, field=f"{kind}.partition", max_chars=MAX_TEXT)
    faults += field.text(body.description, field=f"{kind}.description", max_chars=_MAX_DESCRIPTION)
    faults += field.texts(
        (it.label for it in body.metadata), field=f"{kind}.metadata.label", most=_MAX_METADATA, max_chars=MAX_TEXT
    )
    faults += field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT)
    if kind == "check_evaluated":
        return faults + _check(request)
    limits = {"most": MAX_TAGS, "max_key": MAX_TEXT, "max_value": MAX_TAG_VALUE}
    return faults + field.pairs(body.tags, field=f"{kind}.tags", **limits)


def _check(request: api.ReportAssetEventRequest) -> list[Violation]:
    body = request.check_evaluated
    if not body.check_name:
        return [Violation("check_evaluated.check_name", "is missing: name the check")]
    faults = field.text(body.check_name, field="check_evaluated.check_name", max_chars=MAX_TEXT)
    if body.severity not in CheckSeverity.values():
        faults.append(Violation("check_evaluated.severity", f"is none: {body.severity}"))
    return faults


def wipe(request: api.WipeAssetRequest) -> list[Violation]:
    """List the faults of a WipeAsset request."""
    return [
        *of_asset(deployment=request.deployment, key=request.key),
        *field.texts(request.partitions, field="partitions", most=MAX_PARTITIONS, max_chars=MAX_TEXT),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *field.text(request.why, field="why", max_chars=MAX_TEXT),
    ]


def list_wipes(request: api.ListAssetWipesRequest) -> list[Violation]:
    """List the faults of a ListAssetWipes request."""
    faults = field.optional_name(request.deployment, field="deployment")
    if request.HasField("key"):
        faults = of_asset(deployment=request.deployment, key=request.key)
    return [*faults, *field.page_size(request.page_size, most=MAX_PAGE)]


def of_definition(request: api.ReportAssetEventRequest, *, asset: Asset) -> list[Violation]:
    """List what a ReportAssetEvent request names and the asset does not have."""
    kind = request.WhichOneof("event") or ""
    key = getattr(request, kind).partition
    if kind == "check_evaluated":
        name = request.check_evaluated.check_name
        if name not in asset.checks:
            return [Violation("check_evaluated.check_name", unknown("check", name=name, known=asset.checks))]
        # A check may look at the asset as a whole.
        return _partition(key, of=asset.partitions, field=f"{kind}.partition") if key else []
    return _partition(key, of=asset.partitions, field=f"{kind}.partition")


def _partition(key: str, *, of: Partitions | None, field: str) -> list[Violation]:
    if of is None:
        return [Violation(field, "the asset has no partitions: leave the key out")] if key else []
    if not key:
        return [Violation(field, "is missing: the asset has partitions, so say which one")]
    if not of.dimensions:
        return _key(key, of=of, field=field)
    parts = key.split(KEY_SEPARATOR)
    if len(parts) != len(of.dimensions):
        rule = f"must have {len(of.dimensions)} parts with {KEY_SEPARATOR!r} between them, one for each dimension"
        return [Violation(field, f"{rule}; got {key!r}")]
    return [fault for part, it in zip(parts, of.dimensions, strict=True) for fault in _key(part, of=it, field=field)]


def _key(key: str, *, of: Partitions, field: str) -> list[Violation]:
    """Judge a key where all keys are known on this side: those of time windows are not."""
    if of.kind != "static" or key in of.keys:
        return []
    return [Violation(field, unknown("partition", name=key, known=of.keys))]


def dynamic_keys(request: api.ReportAssetEventRequest, *, asset: Asset) -> dict[str, str]:
    """Return the keys of dynamic partitions that a request needs, by the names under which such keys are kept."""
    kind = request.WhichOneof("event") or ""
    key, of = getattr(request, kind).partition, asset.partitions
    return of.dynamic_keys(key) if of is not None and key else {}
