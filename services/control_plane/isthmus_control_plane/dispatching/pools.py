"""Which pools a run's steps use, by what its location defines. Pure."""

from isthmus.v1.control_plane_pb2 import LaunchRunRequest
from isthmus.v1.instruction_pb2 import RunRequest

from isthmus_control_plane.validation.definition import Definitions, Job
from isthmus_control_plane.validation.launch import resolve_job


def pools_of(request: RunRequest, *, definitions: Definitions) -> tuple[str, ...]:
    """Return the pools of a run's steps, by name.

    Of a selection of assets, those of the assets. Which steps a selection of ops has only the code server can tell: the
    run counts as if it had all of its job's.
    """
    if request.asset_selection and not request.step_keys:
        paths = [tuple(key.path) for key in request.asset_selection]
        known = [definitions.assets[path].pools for path in paths if path in definitions.assets]
        return tuple(sorted(frozenset().union(*known)))
    job = _job_of(request, definitions=definitions)
    return tuple(sorted(job.pools)) if job is not None else ()


def root_pools_of(request: RunRequest, *, definitions: Definitions) -> tuple[str, ...]:
    """Return the pools of the steps that a run begins with, where each of these is in one; else none.

    Of a selection of ops, of checks, or of steps that are done again, only the code server can tell which are the first:
    such a run is taken to have something to do.
    """
    job = _job_of(request, definitions=definitions)
    if job is None or job.graph is None or request.op_selection or request.check_selection or request.step_keys:
        return ()
    if not request.asset_selection:
        return job.graph.root_pools(job.graph.upstream)
    picked = [definitions.assets.get(tuple(key.path)) for key in request.asset_selection]
    return job.graph.root_pools(job.graph.under({asset.op_name for asset in picked if asset is not None}))


def _job_of(request: RunRequest, *, definitions: Definitions) -> Job | None:
    selection = LaunchRunRequest(
        job_name=request.job_name, asset_selection=request.asset_selection, check_selection=request.check_selection
    )
    return definitions.jobs.get(resolve_job(selection, definitions=definitions))
