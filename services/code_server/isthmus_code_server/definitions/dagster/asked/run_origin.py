"""Where a run comes from, in Dagster's terms: run-status sensors compare it with their own place."""

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any

#: The namespace of definitions that belong to no repository of their own.
DEFAULT_REPOSITORY = "__repository__"
#: Between a repository's name and a job's, where several repositories of a location have jobs of the same name.
_SEPARATOR = "."

#: Where Dagster has its classes of origins: now, and in older versions.
_MODULES = ("dagster._core.remote_origin", "dagster._core.remote_representation.origin")


@cache
def _origins() -> Any:
    try:
        return importlib.import_module(_MODULES[0])
    except ModuleNotFoundError:
        return importlib.import_module(_MODULES[1])


def location_origin(location: str) -> Any:
    """Return Dagster's origin of a location."""
    return _origins().RegisteredCodeLocationOrigin(location)


def _no_jobs() -> Collection[str]:
    return ()


@dataclass(kw_only=True)
class RunOrigins:
    """Tells the origins of runs, given what this process is a part of."""

    #: Of the location that this process belongs to; empty while nobody said.
    location: str = ""
    repository: str = DEFAULT_REPOSITORY
    #: The names of the repository's own jobs.
    jobs: Callable[[], Collection[str]] = field(default=_no_jobs)

    def of(self, job_name: str, *, location: str, repository: str) -> tuple[str, Any]:
        """Return the job's name within its repository, and its origin; None where the location is not known.

        Args:
            job_name: The job as the control plane names it.
            location: Its location.
            repository: Its repository; empty where the control plane does not know it.
        """
        own_repository, separator, own_name = job_name.rpartition(_SEPARATOR)
        name = own_name if separator else job_name
        if not location:
            return name, None
        is_own = self.location in {"", location} and name in self.jobs()
        repository = repository or own_repository or (self.repository if is_own else DEFAULT_REPOSITORY)
        of_repository = _origins().RemoteRepositoryOrigin(location_origin(location), repository)
        return name, _origins().RemoteJobOrigin(of_repository, name)
