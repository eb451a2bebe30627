"""Builds what is reported of an asset from what a person typed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from isthmus.v1.control_plane_pb2 import ReportAssetEventRequest
from isthmus.v1.telemetry_pb2 import AssetCheckEvaluated, CheckSeverity, MetadataEntry, MetadataValue

from isthmus_cli.errors import InputError

#: By these tags the framework knows the version of data, and that a person gave it.
_DATA_VERSION: Final = "dagster/data_version"
_IS_GIVEN: Final = "dagster/data_version_is_user_provided"
_MOST_INT: Final = 2**63


@dataclass(frozen=True, kw_only=True)
class ReportChoices:
    """What is reported."""

    partition: str = ""
    is_observed: bool = False
    check: str = ""
    is_passed: bool = False
    is_failed: bool = False
    is_only_to_warn: bool = False
    data_version: str = ""
    description: str = ""
    metadata: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def report_request(choices: ReportChoices, *, requested_by: str) -> ReportAssetEventRequest:
    """Build the request, yet without the asset.

    Raises:
        InputError: Names the option that is not usable.
    """
    request = ReportAssetEventRequest(requested_by=requested_by)
    metadata = [_entry(option) for option in choices.metadata]
    if choices.check:
        request.check_evaluated.CopyFrom(_check(choices))
    else:
        _refuse_check_options(choices)
        made = request.observed if choices.is_observed else request.materialized
        made.tags.update(choices.tags)
        if choices.data_version:
            made.tags.update({_DATA_VERSION: choices.data_version, _IS_GIVEN: "true"})
        made.SetInParent()
    body = getattr(request, request.WhichOneof("event") or "")
    body.partition, body.description = choices.partition, choices.description
    body.metadata.extend(metadata)
    return request


def _check(choices: ReportChoices) -> AssetCheckEvaluated:
    if choices.is_passed == choices.is_failed:
        raise InputError("What came of the check?", remedy="Say --passed or --failed, and one of them only.")
    if choices.is_observed:
        raise InputError("--observed and --check exclude each other.", remedy="Report one after the other.")
    if choices.data_version or choices.tags:
        raise InputError("A check has neither tags nor a data version.", remedy="Use --metadata LABEL=VALUE.")
    severity = CheckSeverity.CHECK_SEVERITY_WARN if choices.is_only_to_warn else CheckSeverity.CHECK_SEVERITY_ERROR
    return AssetCheckEvaluated(check_name=choices.check, is_passed=choices.is_passed, severity=severity)


def _refuse_check_options(choices: ReportChoices) -> None:
    if choices.is_passed or choices.is_failed or choices.is_only_to_warn:
        raise InputError("--passed, --failed and --warn are about a check.", remedy="Name it: --check CHECK")


def _entry(option: str) -> MetadataEntry:
    label, separator, value = option.partition("=")
    if not label or not separator:
        raise InputError(f"--metadata {option} has no label or no value.", remedy="Write --metadata rows=1200")
    return MetadataEntry(label=label, value=_value(value))


def _value(text: str) -> MetadataValue:
    """Read a value as what it looks like; anything else is text."""
    if text.startswith(("https://", "http://")):
        return MetadataValue(url=text)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return MetadataValue(text=text)
    return _typed(parsed, text=text) or MetadataValue(text=text)


def _typed(parsed: object, *, text: str) -> MetadataValue | None:
    match parsed:
        case bool():
            return MetadataValue(bool=parsed)
        case int():
            is_small = -_MOST_INT <= parsed < _MOST_INT
            return MetadataValue(int=parsed) if is_small else MetadataValue(big_int=str(parsed))
        case float() if math.isfinite(parsed):
            return MetadataValue(float=parsed)
        case dict() | list():
            return MetadataValue(json=text)
        case str():
            return MetadataValue(text=parsed)
    return None
