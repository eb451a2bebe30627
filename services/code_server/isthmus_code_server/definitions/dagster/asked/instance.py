"""A Dagster instance that asks the control plane, built before the fork and given its run after it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dagster._core.instance import DagsterInstance, InstanceType
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.tags import PARTITION_NAME_TAG

from isthmus_code_server.definitions.dagster.asked.beside import EntryListener
from isthmus_code_server.definitions.dagster.asked.event_storage import AskingEventStorage, EntrySink
from isthmus_code_server.definitions.dagster.asked.known_events import new_event_storage
from isthmus_code_server.definitions.dagster.asked.reference import instance_ref, with_entries
from isthmus_code_server.definitions.dagster.asked.run_origin import RunOrigins
from isthmus_code_server.definitions.dagster.asked.run_storage import AskingRunStorage, new_run_storage
from isthmus_code_server.definitions.dagster.asked.store_query import StoreQuery
from isthmus_code_server.definitions.dagster.asked.wanted_changes import ChangeRecord
from isthmus_code_server.definitions.dagster.surrounding.surroundings import Surroundings
from isthmus_code_server.definitions.instance_client import InstanceClient
from isthmus_code_server.definitions.port import EvaluationPlace, RunPlace


@dataclass(frozen=True, kw_only=True)
class RunInstance:
    """An instance, the two storages of ours in it, and what both ask through."""

    instance: DagsterInstance
    runs: AskingRunStorage
    events: AskingEventStorage
    client: InstanceClient
    store: StoreQuery
    #: Tells where the runs that are asked for come from.
    origins: RunOrigins

    @contextmanager
    def evaluating(self, place: EvaluationPlace) -> Iterator[ChangeRecord]:
        """Keep what is wanted changed in a record, for as long as the context lives, instead of having it changed."""
        record = ChangeRecord()
        self.store.record, self.origins.location = record, place.location
        try:
            yield record
        finally:
            self.store.record = self.store.facts = None

    def begin(self, run: DagsterRun, *, sink: EntrySink, place: RunPlace) -> None:
        """Take the run that this process is about to execute.

        Args:
            run: The run.
            sink: Takes each entry of the run's log.
            place: Where it is executed.
        """
        self.runs.begin(run, is_cancel_requested=place.is_cancel_requested)
        self.events.begin(sink, run_id=run.run_id, partition_key=run.tags.get(PARTITION_NAME_TAG))
        self.client.run = place.attempt
        self.client.written = place.written

    def become_step(self, written: Callable[[], int]) -> None:
        """Ask from a step's own process from now on."""
        self.client.written = written


class _OpenInstance(DagsterInstance):
    """An instance whose reference leads, from within a step, to the step's process as well."""

    _entries: EntryListener | None = None

    def get_ref(self) -> InstanceRef:
        """Return the reference by which another process opens the instance."""
        ref, events = super().get_ref(), self._event_storage
        if not isinstance(events, AskingEventStorage) or not events.is_in_step:
            # Whoever plans the run asks, too. It may fork yet, which a thread of ours must not disturb.
            return ref
        if self._entries is None:
            self._entries = EntryListener(events.store_event)
        return with_entries(ref, address=self._entries.address())


def build_instance(surroundings: Surroundings, *, origins: RunOrigins) -> RunInstance:
    """Build the instance that every run of the location uses.

    The default IO manager writes where the project's dagster.yaml says, else, as Dagster has it, below DAGSTER_HOME where
    that is set, so that a run finds what an earlier one stored, else below the location's folder.
    """
    # Dagster's own telemetry stays silent, whatever anybody says.
    settings = {**surroundings.file.settings, "telemetry": {"enabled": False}}
    artifacts = surroundings.file.artifacts or os.environ.get("DAGSTER_HOME") or str(surroundings.home)
    client = InstanceClient()
    store = StoreQuery(client=client)
    runs = new_run_storage(store, origins)
    events = new_event_storage(store)
    instance = _OpenInstance(
        # Persistent is Dagster's word for an instance that other processes can open by reference.
        instance_type=InstanceType.PERSISTENT,
        ref=instance_ref(artifacts=artifacts, settings=settings),
        local_artifact_storage=LocalArtifactStorage(artifacts),
        run_storage=runs,
        event_storage=events,
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=DefaultRunCoordinator(),
        run_launcher=SyncInMemoryRunLauncher(),
        settings=settings,
    )
    return RunInstance(instance=instance, runs=runs, events=events, client=client, store=store, origins=origins)
