"""What a request selects of a job: ops, or assets and checks; and what is wrong with the selection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import FieldViolation

if TYPE_CHECKING:
    from dagster import AssetCheckKey, AssetKey, JobDefinition


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A selection in Dagster's words; empty for the whole job."""

    ops: tuple[str, ...] = ()
    assets: "frozenset[AssetKey]" = frozenset()
    #: None for the checks of the selected assets.
    checks: "frozenset[AssetCheckKey] | None" = None

    @property
    def is_of_assets(self) -> bool:
        """Whether assets or checks were selected."""
        return bool(self.assets or self.checks)


def selection_of(request: RunRequest, *, job: "JobDefinition") -> Selection:
    """Read what a request selects of a job."""
    from dagster import AssetCheckKey, AssetKey

    checks = frozenset(
        AssetCheckKey(AssetKey(list(check.asset.path)), check.check_name) for check in request.check_selection
    )
    assets = frozenset(AssetKey(list(key.path)) for key in request.asset_selection)
    if request.has_check_selection and not assets and not checks and not request.op_selection:
        # The whole job without its checks: Dagster leaves checks out of named assets only.
        assets = frozenset(job.asset_layer.executable_asset_keys)
    return Selection(
        ops=tuple(request.op_selection),
        assets=assets,
        checks=checks if request.has_check_selection else checks or None,
    )


def selection_violations(selection: Selection, *, job: "JobDefinition") -> list[FieldViolation]:
    """Tell what is wrong with a selection, before Dagster is asked for the subset."""
    if selection.ops and selection.is_of_assets:
        text = "A run selects ops or assets, not both: leave one selection empty."
        return [FieldViolation(field="op_selection", description=text)]
    return [*_asset_violations(selection, job), *_check_violations(selection, job)]


def _asset_violations(selection: Selection, job: "JobDefinition") -> list[FieldViolation]:
    known = job.asset_layer.executable_asset_keys
    return [
        FieldViolation(
            field=f"asset_selection.{key.to_user_string()}",
            description=f"Job {job.name!r} does not execute an asset {key.to_user_string()!r}: select one that it does.",
        )
        for key in sorted(selection.assets)
        if key not in known
    ]


def _check_violations(selection: Selection, job: "JobDefinition") -> list[FieldViolation]:
    known = {(key.asset_key, key.name) for key in job.asset_layer.asset_graph.asset_check_keys}
    return [
        FieldViolation(
            field=f"check_selection.{key.asset_key.to_user_string()}.{key.name}",
            description=f"Job {job.name!r} does not execute a check {key.name!r} of asset"
            f" {key.asset_key.to_user_string()!r}: select one that it does.",
        )
        for key in sorted(selection.checks or (), key=lambda key: (key.asset_key, key.name))
        if (key.asset_key, key.name) not in known
    ]


def subset_of(job: "JobDefinition", *, selection: Selection) -> "JobDefinition":
    """Return the job with what is selected of it.

    Raises:
        DagsterError: Dagster does not accept the selection.
    """
    if selection.ops:
        return job.get_subset(op_selection=selection.ops)
    if selection.is_of_assets:
        return job.get_subset(asset_selection=selection.assets, asset_check_selection=selection.checks)
    return job
