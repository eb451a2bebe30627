"""Whether a launch fits what its location defines, as far as the stored snapshot tells."""

from collections.abc import Iterable
from typing import NamedTuple

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation.definition import AssetPath, Definitions, Job, Partitions
from isthmus_control_plane.validation.suggestion import unknown


class _Pick(NamedTuple):
    """One selected asset, and where the request names it."""

    path: AssetPath
    field: str


def resolve_job(request: api.LaunchRunRequest, *, definitions: Definitions) -> str:
    """Name the job that executes the request: its own, or the implicit one that holds all selected assets.

    Returns:
        An empty string when the assets have no job in common.
    """
    if request.job_name:
        return request.job_name
    wanted = {pick.path for pick in _picks_of_jobs(request, definitions=definitions)}
    return next((job.name for job in _implicit(definitions) if wanted <= job.assets), "")


def launch_violations(request: api.LaunchRunRequest, *, definitions: Definitions) -> list[Violation]:
    """List what the request names and the location does not define."""
    violations = _job_violations(request, definitions=definitions)
    violations += _asset_violations(request, definitions=definitions)
    violations += _check_violations(request, definitions=definitions)
    if violations:
        return violations
    job = definitions.jobs.get(resolve_job(request, definitions=definitions))
    if job is None:
        return [Violation("asset_selection", "no job executes all of these together: launch them in several runs")]
    violations = [
        Violation(pick.field, f"asset {_shown(pick.path)} is not in job {job.name!r}")
        for pick in _picks_of_jobs(request, definitions=definitions)
        if job.assets and pick.path not in job.assets
    ]
    return violations + _partition_violations(request, job=job, definitions=definitions)


def _job_violations(request: api.LaunchRunRequest, *, definitions: Definitions) -> list[Violation]:
    if not request.job_name or request.job_name in definitions.jobs:
        return []
    visible = [job.name for job in definitions.jobs.values() if not job.is_implicit]
    return [Violation("job_name", unknown("job", name=request.job_name, known=visible))]


def _asset_violations(request: api.LaunchRunRequest, *, definitions: Definitions) -> list[Violation]:
    violations = []
    for pick in _picks(request):
        asset = definitions.assets.get(pick.path)
        if asset is None:
            known = ("/".join(path) for path in definitions.assets)
            violations.append(Violation(pick.field, unknown("asset", name="/".join(pick.path), known=known)))
        elif not asset.is_executable and pick.field.startswith("asset_selection"):
            why = "is external: nothing in this location materializes it"
            violations.append(Violation(pick.field, f"asset {_shown(pick.path)} {why}"))
    return violations


def _check_violations(request: api.LaunchRunRequest, *, definitions: Definitions) -> list[Violation]:
    violations = []
    for index, check in enumerate(request.check_selection):
        asset = definitions.assets.get(tuple(check.asset.path))
        if asset is not None and check.check_name not in asset.checks:
            kind = f"check of asset {_shown(tuple(check.asset.path))}"
            text = unknown(kind, name=check.check_name, known=asset.checks)
            violations.append(Violation(f"check_selection[{index}].check_name", text))
    return violations


def dynamic_keys(request: api.LaunchRunRequest, *, definitions: Definitions) -> dict[str, str]:
    """Return the keys of dynamic partitions that a request needs, by the names under which such keys are kept."""
    job = definitions.jobs.get(request.job_name)
    if job is None or not request.partition_key:
        return {}
    found: dict[str, str] = {}
    for scheme in _schemes(request, job=job, definitions=definitions):
        found |= scheme.dynamic_keys(request.partition_key)
    return found


def _schemes(request: api.LaunchRunRequest, *, job: Job, definitions: Definitions) -> list[Partitions]:
    paths = {pick.path for pick in _picks(request)} or job.assets
    known = [definitions.assets[path].partitions for path in sorted(paths) if path in definitions.assets]
    return [scheme for scheme in (job.partitions, *known) if scheme is not None]


def _partition_violations(request: api.LaunchRunRequest, *, job: Job, definitions: Definitions) -> list[Violation]:
    if not request.partition_key:
        return []
    schemes = _schemes(request, job=job, definitions=definitions)
    if not schemes:
        return [Violation("partition_key", f"job {job.name!r} has no partitions: leave the key out")]
    for scheme in schemes:
        if scheme.kind == "static" and request.partition_key not in scheme.keys:
            return [Violation("partition_key", unknown("partition", name=request.partition_key, known=scheme.keys))]
    return []


def _picks(request: api.LaunchRunRequest) -> list[_Pick]:
    assets = [_Pick(tuple(key.path), f"asset_selection[{index}]") for index, key in enumerate(request.asset_selection)]
    checks = [
        _Pick(tuple(check.asset.path), f"check_selection[{index}].asset")
        for index, check in enumerate(request.check_selection)
    ]
    return assets + checks


def _picks_of_jobs(request: api.LaunchRunRequest, *, definitions: Definitions) -> list[_Pick]:
    """List the selected assets without the external ones: a job may check them, but it does not have them."""
    external = {path for path, asset in definitions.assets.items() if not asset.is_executable}
    return [pick for pick in _picks(request) if pick.path not in external]


def _implicit(definitions: Definitions) -> Iterable[Job]:
    return (job for job in definitions.jobs.values() if job.is_implicit)


def _shown(path: AssetPath) -> str:
    return repr("/".join(path))
