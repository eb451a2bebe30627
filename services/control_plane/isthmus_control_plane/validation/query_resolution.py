"""A request's asset queries, in the place of which stands what they select."""

import re
from collections.abc import Mapping
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation.asset_query import AssetQueryError, Paths, select
from isthmus_control_plane.validation.definition import Asset, AssetPath, Definitions
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import unknown

#: Keys that cannot be meant as anything else: whoever names them need not know what the location defines.
_KEYS: Final = re.compile(r"[\w/.\-]+(?:\s*,\s*[\w/.\-]+)*")


def with_selected_assets(request: api.LaunchRunRequest, *, definitions: Definitions | None) -> api.LaunchRunRequest:
    """Return the request with the assets that its queries select, and without these.

    Raises:
        InvalidRequestError: A query is none, or selects nothing, or nobody knows yet what there is to select.
    """
    if not request.asset_queries:
        return request
    resolved = api.LaunchRunRequest()
    resolved.CopyFrom(request)
    del resolved.asset_queries[:]
    known = {tuple(key.path) for key in request.asset_selection}
    violations: list[Violation] = []
    for index, query in enumerate(request.asset_queries):
        if definitions is None and not _KEYS.fullmatch(query):
            why = "cannot be looked up before the location serves: name the assets, or launch when it does"
            violations.append(Violation(f"asset_queries[{index}]", why))
            continue
        try:
            found = select(query, assets=_selectable(request, definitions=definitions)) if definitions else _keys(query)
        except AssetQueryError as error:
            violations.append(Violation(f"asset_queries[{index}]", _said(error, request, definitions=definitions)))
            continue
        resolved.asset_selection.extend(telemetry_pb2.AssetKey(path=path) for path in sorted(found - known))
        known |= found
    refuse(violations)
    return resolved


def _selectable(request: api.LaunchRunRequest, *, definitions: Definitions) -> Mapping[AssetPath, Asset]:
    """Return the assets that a request may select from: those of its job, where it names one that is there."""
    job = definitions.jobs.get(request.job_name)
    if job is None or not job.assets:
        return definitions.assets
    return {path: asset for path, asset in definitions.assets.items() if path in job.assets}


def _keys(query: str) -> Paths:
    """Read plain keys."""
    return frozenset(tuple(key.strip().split("/")) for key in query.split(",") if key.strip())


def _said(error: AssetQueryError, request: api.LaunchRunRequest, *, definitions: Definitions | None) -> str:
    """Say what is wrong with a query; what may have been meant stands in the place of a key that no asset has."""
    if definitions is None or not error.missing or ":" in error.missing:
        return error.why
    known = _selectable(request, definitions=definitions)
    if tuple(error.missing.split("/")) in definitions.assets:
        return f"asset {error.missing!r} is not in job {request.job_name!r}"
    return unknown("asset", name=error.missing, known=("/".join(path) for path in known))
