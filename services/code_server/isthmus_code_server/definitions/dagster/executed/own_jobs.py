"""A repository's jobs as they are executed here, each built when it is first asked for."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from isthmus_code_server.definitions.dagster.executed.executor import with_own_executor
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite

if TYPE_CHECKING:
    from dagster import JobDefinition, RepositoryDefinition


class OwnJobs(Mapping[str, "JobDefinition"]):
    """Jobs by name, with their steps run by us."""

    def __init__(self, repository: "RepositoryDefinition", *, site: StepSite) -> None:
        """Take the jobs of a repository; their executors find the run that they execute in `site`."""
        self._repository = repository
        self._site = site
        self._built: dict[str, JobDefinition] = {}

    def __getitem__(self, name: str) -> "JobDefinition":
        if name not in self._built:
            if not self._repository.has_job(name):
                raise KeyError(name)
            self._built[name] = with_own_executor(self._repository.get_job(name), site=self._site)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._repository.job_names)

    def __len__(self) -> int:
        return len(self._repository.job_names)
