"""The job that a run executes, with what Dagster asks of it: its repository, and a form for another process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._serdes import pack_value

if TYPE_CHECKING:
    from dagster import JobDefinition, RepositoryDefinition
    from dagster._core.code_pointer import CodePointer

    from isthmus_code_server.definitions.dagster.executed.selection import Selection


@dataclass(frozen=True, kw_only=True)
class RunOrigin:
    """The repository that runs are of, and what leads another process to it."""

    repository: "RepositoryDefinition"
    reconstructable: ReconstructableRepository

    @classmethod
    def of(cls, repository: "RepositoryDefinition", *, pointer: "CodePointer") -> "RunOrigin":
        """Take a repository and what leads to it."""
        return cls(repository=repository, reconstructable=ReconstructableRepository(pointer))

    def job(self, job: "JobDefinition", *, selection: "Selection") -> "RunJob":
        """Return a job of the repository, with what is selected of it, as a run executes it."""
        run_job = RunJob(
            repository=self.reconstructable,
            job_name=job.name,
            op_selection=selection.ops or None,
            asset_selection=selection.assets or None,
            asset_check_selection=selection.checks,
        )
        run_job.prepared = job
        run_job.prepared_repository = self.repository
        return run_job


class RunJob(ReconstructableJob):
    """Dagster's reconstructable job whose definition is the one that was prepared already.

    To this process it is the prepared job. What travels to another process, such as that of a notebook or of a step
    launcher, is Dagster's own kind, which imports the project there.
    """

    prepared: "JobDefinition"
    prepared_repository: "RepositoryDefinition"

    def get_definition(self) -> "JobDefinition":  # type: ignore[override]  # nothing is to be kept: it is there
        """Return the job."""
        return self.prepared

    def get_repository_definition(self) -> "RepositoryDefinition":  # type: ignore[override]  # as above
        """Return the repository that it is of."""
        return self.prepared_repository

    def with_repository_load_data(self, metadata: Any) -> "RunJob":
        """Stay as it is: what the repository loaded for itself is loaded already."""
        del metadata
        return self

    def to_dict(self) -> Mapping[str, object]:
        """Write what another process rebuilds the job from."""
        packed: Mapping[str, object] = pack_value(self._traveling())
        return packed

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as Dagster's own kind."""
        return ReconstructableJob, tuple(self._traveling())

    def _traveling(self) -> ReconstructableJob:
        return ReconstructableJob(
            repository=self.repository,
            job_name=self.job_name,
            op_selection=self.op_selection,
            asset_selection=self.asset_selection,
            asset_check_selection=self.asset_check_selection,
        )
