"""What an evaluation wants changed: it is kept for the answer, and seen by the evaluation itself, but not carried out."""

from collections.abc import Iterable, Sequence

from isthmus.v1.telemetry_pb2 import DynamicPartitionsChange, Event, RunTagsChange, WantedChanges


class ChangeRecord:
    """Keeps, in order, what one evaluation wants changed."""

    def __init__(self) -> None:
        self._wanted = WantedChanges()

    @property
    def wanted(self) -> WantedChanges:
        """Everything up to now."""
        return self._wanted

    def change_partitions(self, name: str, *, added: Sequence[str] = (), deleted: Sequence[str] = ()) -> None:
        """Keep a change of dynamic partitions."""
        self._wanted.partitions.append(DynamicPartitionsChange(name=name, added=added, deleted=deleted))

    def add_run_tags(self, run_id: str, tags: dict[str, str]) -> None:
        """Keep new tags of a run."""
        self._wanted.run_tags.append(RunTagsChange(run_id=run_id, tags=tags))

    def report_asset_event(self, event: Event) -> None:
        """Keep what happened to an asset outside of runs."""
        self._wanted.asset_events.append(event)

    def partitions_after(self, name: str, *, known: Iterable[str], among: Sequence[str] = ()) -> list[str]:
        """Return the keys that there will be: those that are known, changed as wanted.

        Args:
            name: The name of the partitions.
            known: The keys that there are, of those asked for.
            among: The keys that are asked for; all if empty.
        """
        keys = dict.fromkeys(known)
        for change in self._wanted.partitions:
            if change.name == name:
                keys.update(dict.fromkeys(key for key in change.added if not among or key in among))
                for key in change.deleted:
                    keys.pop(key, None)
        return list(keys)
