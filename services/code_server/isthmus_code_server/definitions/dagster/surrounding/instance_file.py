"""The project's dagster.yaml: what of it holds for a run, and what has no meaning here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus_code_server.errors import InstanceFileError

NAME = "dagster.yaml"

_RETRIES = "retries are the control plane's: `isthmus dev` takes them over from here, everywhere else `isthmus queue set` gives them"
_LIMITS = "limits are the control plane's: `isthmus dev` takes them over from here, everywhere else `isthmus queue set` gives them"
_MONITORING = (
    "every run is watched over, by leases; times are the control plane's: `isthmus dev` takes them over from here, "
    "everywhere else `isthmus queue set` gives them"
)
#: Sections that say how Dagster's own services work, and who does that here.
_ELSEWHERE: Mapping[str, str] = {
    "storage": "runs and events are kept by the control plane",
    "run_storage": "runs are kept by the control plane",
    "event_log_storage": "events are kept by the control plane",
    "schedule_storage": "ticks are kept by the control plane",
    "compute_logs": "the output of a run is kept where the run was executed",
    "run_launcher": "runs are started by the location's code servers",
    "run_coordinator": _LIMITS,
    "run_queue": _LIMITS,
    "concurrency": _LIMITS,
    "run_monitoring": _MONITORING,
    "run_retries": _RETRIES,
    "retention": "the control plane removes what is old, by its own settings",
    "scheduler": "schedules are evaluated for the control plane",
    "schedules": "schedules are evaluated for the control plane",
    "sensors": "sensors are evaluated for the control plane",
    "backfills": "the daemon that it is for does not run here",
    "auto_materialize": "the daemon that it is for does not run here",
    "freshness": "the daemon that it is for does not run here",
    "code_servers": "a location has a load_timeout_s of its own",
    "defs_state_storage": "the state of components stays where Dagster keeps it without a setting",
    "instance_class": "the instance asks the control plane",
}
#: Sections that hold for what happens in a run.
_SETTINGS = ("python_logs",)


@dataclass(frozen=True, kw_only=True)
class InstanceFile:
    """What a dagster.yaml says, or the lack of one."""

    #: What Dagster looks up in its instance's settings.
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Where values that outlive a run are kept; empty where it does not say.
    artifacts: str = ""
    #: A sentence for each section without a meaning.
    warnings: tuple[str, ...] = ()
    #: What Dagster makes the loader of the project's variables from; None for none.
    secrets: Any = None

    def variables(self, location: str) -> Mapping[str, str]:
        """Return what the loader of variables that it names gives for a location; an empty name stands for none."""
        if self.secrets is None:
            return {}
        from dagster._core.secrets import SecretsLoader

        loader = self.secrets.rehydrate(as_type=SecretsLoader)
        given: Mapping[str, str] = loader.get_secrets_for_environment(location or None)
        return given


def read_instance_file(folder: Path) -> InstanceFile:
    """Read the dagster.yaml of DAGSTER_HOME, or, where that is not set, of the project's folder.

    Args:
        folder: The process's current directory.

    Raises:
        InstanceFileError: It is no YAML, or says what Dagster does not know.
    """
    path = Path(os.environ.get("DAGSTER_HOME") or folder) / NAME
    if not path.is_file():
        return InstanceFile()
    said = _read(path)
    return InstanceFile(
        settings={name: said[name] for name in _SETTINGS if said.get(name)},
        artifacts=_artifacts(said),
        warnings=tuple(
            f"{path}: {name} has no effect here: {why}." for name, why in _ELSEWHERE.items() if said.get(name)
        ),
        secrets=_secrets(said),
    )


def _read(path: Path) -> Mapping[str, Any]:
    from dagster._check import CheckError
    from dagster._core.errors import DagsterInvalidConfigError
    from dagster._core.instance.config import dagster_instance_config
    from yaml import YAMLError, safe_load  # type: ignore[import-untyped, unused-ignore]  # Dagster brings it, untyped

    try:
        # What is said, without what Dagster adds to it.
        said = safe_load(path.read_text(encoding="utf-8")) or {}
        dagster_instance_config(str(path.parent))
    except (OSError, UnicodeDecodeError, YAMLError, CheckError) as error:
        raise InstanceFileError(str(path), problems=[str(error)]) from error
    except DagsterInvalidConfigError as error:
        problems = [str(one.message) for one in error.errors or ()] or [str(error)]
        raise InstanceFileError(str(path), problems=problems) from error
    found: Mapping[str, Any] = said
    return found


def _artifacts(said: Mapping[str, Any]) -> str:
    from dagster._core.instance.ref import configurable_class_data_or_default
    from dagster._core.storage.root import LocalArtifactStorage

    data = configurable_class_data_or_default(said, "local_artifact_storage", None)
    return str(data.rehydrate(as_type=LocalArtifactStorage).base_dir) if data is not None else ""


def _secrets(said: Mapping[str, Any]) -> Any:
    from dagster._core.instance.ref import configurable_secrets_loader_data

    section: Any = said.get("secrets")
    return configurable_secrets_loader_data(section, None)
