"""What requests about the catalog of assets must look like by themselves."""

from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import AssetKey

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.request import MAX_PAGE, MAX_QUERY

MAX_PARTITIONS: Final = 1000
#: Longer keys are in no index.
_MAX_KEY_PARTS: Final = 100


def list_assets(request: api.ListAssetsRequest) -> list[Violation]:
    """List the faults of a ListAssets request."""
    return [
        *field.optional_name(request.deployment, field="deployment"),
        *field.optional_name(request.location, field="location"),
        *field.text(request.selection, field="selection", max_chars=MAX_QUERY),
        *field.text(request.search, field="search", max_chars=MAX_TEXT),
        *field.page_size(request.page_size, most=MAX_PAGE),
    ]


def of_asset(*, deployment: str, key: AssetKey, at: str = "key") -> list[Violation]:
    """List the faults of what names one asset; `at` is the field with its key."""
    violations = field.optional_name(deployment, field="deployment")
    if not key.path:
        violations.append(Violation(f"{at}.path", "is missing: name an asset"))
    violations += field.count(len(key.path), field=f"{at}.path", most=_MAX_KEY_PARTS)
    for index, part in enumerate(key.path[:_MAX_KEY_PARTS]):
        violations += field.text(part, field=f"{at}.path[{index}]", max_chars=MAX_TEXT)
    return violations


def list_partitions(request: api.ListAssetPartitionsRequest) -> list[Violation]:
    """List the faults of a ListAssetPartitions request."""
    return [
        *of_asset(deployment=request.deployment, key=request.key),
        *field.page_size(request.page_size, most=MAX_PARTITIONS),
        *field.text(request.page_token, field="page_token", max_chars=MAX_QUERY),
    ]


def list_evaluations(request: api.ListAssetEvaluationsRequest) -> list[Violation]:
    """List the faults of a ListAssetEvaluations request."""
    return [
        *of_asset(deployment=request.deployment, key=request.key),
        *field.text(request.check_name, field="check_name", max_chars=MAX_TEXT),
        *field.page_size(request.page_size, most=MAX_PAGE),
    ]
