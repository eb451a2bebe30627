"""To which of its framework's repositories a run's job belongs, which sensors of other locations select runs by."""

from collections.abc import Iterable

from isthmus.v1.instance_pb2 import FoundRun
from isthmus_store import placements
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.validation.definition import Job


async def name_repositories(tx: Transaction, found: Iterable[FoundRun], *, core: Core) -> None:
    """Say of each run in which repository its location has its job now; of a job that left the code nothing is said."""
    known: dict[tuple[str, str], dict[str, Job]] = {}
    for it in found:
        place = (it.run.deployment, it.run.request.location)
        if place not in known:
            known[place] = await jobs_of(tx, *place, core=core)
        job = known[place].get(it.run.request.job_name)
        it.repository_name = job.repository if job is not None else ""


async def jobs_of(tx: Transaction, deployment: str, location: str, *, core: Core) -> dict[str, Job]:
    """Return the jobs that a location has now, by their names."""
    jobs: dict[str, Job] = {}
    # Of several agents, what the newest generation says counts.
    held_by = await placements.all_of(tx, deployment=deployment, location=location)
    for held in sorted(held_by, key=lambda it: it.serving_generation):
        definitions = await core.definitions.get(tx, held.snapshot_hash)
        jobs.update(definitions.jobs if definitions is not None else {})
    return jobs
