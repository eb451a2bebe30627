"""The reference by which another process of the user's opens the run's instance, as of a notebook that a run executes.

Such a process inherits the address of the code server's socket, and asks by itself. What it logs of the run it hands to the
process of the step, where a step asked for the reference.
"""

import json
from collections.abc import Mapping
from typing import Any

from dagster import Field
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs.base import RunStorage
from dagster._serdes import ConfigurableClassData

from isthmus_code_server.definitions.dagster.asked.beside import hand_in
from isthmus_code_server.definitions.dagster.asked.event_storage import AskingEventStorage
from isthmus_code_server.definitions.dagster.asked.refusal import refuse_the_rest
from isthmus_code_server.definitions.dagster.asked.run_origin import RunOrigins
from isthmus_code_server.definitions.dagster.asked.run_storage import AskingRunStorage
from isthmus_code_server.definitions.dagster.asked.store_query import StoreQuery
from isthmus_code_server.definitions.instance_client import InstanceClient
from isthmus_code_server.errors import UnsupportedInstanceCallError

_STORAGE = "dagster._core.storage"
_ENTRIES = "entries_address"


class _OpenedByReference:
    """What Dagster makes a storage of when it follows a reference."""

    _inst_data: ConfigurableClassData | None = None

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What the storage was made from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Say that there is nothing to configure: the environment tells whom to ask."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Any:
        """Make the storage."""
        del config_value
        make: Any = cls
        storage = make(StoreQuery(client=InstanceClient()))
        storage._inst_data = inst_data  # noqa: SLF001  # our own
        return storage


class _RunsByReference(_OpenedByReference, AskingRunStorage):
    """Runs, asked for by a process that executes none."""

    def __init__(self, store: StoreQuery) -> None:
        super().__init__(store, RunOrigins())


class _EventsByReference(_OpenedByReference, AskingEventStorage):
    """Events, asked for by a process that executes no run."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Say where the step's process takes what this one logs."""
        return {_ENTRIES: Field(str, default_value="")}

    def store_event(self, event: EventLogEntry) -> None:
        """Hand an entry to the step's process; without one, what is to be known elsewhere is refused.

        What the process logs otherwise is told by its own output.
        """
        told = event.dagster_event
        if not event.run_id:
            super().store_event(event)
            return
        address = self._inst_data.config_dict.get(_ENTRIES) if self._inst_data is not None else ""
        if address and hand_in(event, address=address):
            return
        if told is not None and (told.is_asset_observation or told.is_step_materialization or told.is_job_event):
            why = "a process beside the run's reports an event of it, and no step takes it"
            raise UnsupportedInstanceCallError("EventLogStorage.store_event", why=why)


RunsByReference = refuse_the_rest(_RunsByReference, of=RunStorage)
EventsByReference = refuse_the_rest(_EventsByReference, of=EventLogStorage)


def instance_ref(*, artifacts: str, settings: Mapping[str, Any]) -> InstanceRef:
    """Return the reference to the instance of this location's runs.

    Args:
        artifacts: The folder in which values are kept.
        settings: What was set for the instance.
    """
    return InstanceRef(
        local_artifact_storage_data=_made(f"{_STORAGE}.root", "LocalArtifactStorage", base_dir=artifacts),
        compute_logs_data=_made(f"{_STORAGE}.noop_compute_log_manager", "NoOpComputeLogManager"),
        scheduler_data=None,
        run_coordinator_data=_made("dagster._core.run_coordinator", "DefaultRunCoordinator"),
        run_launcher_data=_made("dagster._core.launcher.sync_in_memory_run_launcher", "SyncInMemoryRunLauncher"),
        settings=settings,
        run_storage_data=_made(__name__, "RunsByReference"),
        event_storage_data=_made(__name__, "EventsByReference"),
        schedule_storage_data=None,
    )


def with_entries(ref: InstanceRef, *, address: str) -> InstanceRef:
    """Return the reference, with where a step's process takes what is logged of the run."""
    return ref._replace(event_storage_data=_made(__name__, "EventsByReference", **{_ENTRIES: address}))


def _made(module: str, name: str, **config: str) -> ConfigurableClassData:
    # Every JSON text is YAML.
    return ConfigurableClassData(module, name, json.dumps(config))
