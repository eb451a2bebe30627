"""What the runs of one location recorded of their assets and dynamic partitions, kept in files between runs.

Dagster asks its instance for the last materialization of an upstream asset, to tell data versions, and for the keys of
dynamic partitions. The history of everything is on the control plane's side; what a run needs to know of the runs
before it is here. Each value is a file of its own that is replaced whole, so that runs side by side need no lock.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class RecordKind(StrEnum):
    """What happened to an asset."""

    MATERIALIZATION = "materialization"
    OBSERVATION = "observation"


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetRecordEntry:
    """The last event of a kind about an asset, or about one of its partitions."""

    #: Grows with time: nanoseconds since the epoch.
    storage_id: int
    #: The framework's own event log entry, serialized by it.
    entry: str
    partition: str | None


class LocationLedger:
    """Reads and writes a location's records. Safe between processes: a reader sees an old value or a new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, asset: str, *, kind: RecordKind, partition: str | None, entry: str) -> None:
        """Remember an event as the last of its kind about an asset, and about its partition if it has one."""
        value = json.dumps({"storage_id": time.time_ns(), "entry": entry, "partition": partition})
        folder = self._asset_folder(asset, kind=kind)
        _replace(folder / "last.json", value)
        if partition is not None:
            _replace(folder / f"{_digest(partition)}.partition.json", value)

    def last(self, asset: str, *, kind: RecordKind, partition: str | None = None) -> AssetRecordEntry | None:
        """Return the last event of a kind about an asset, or about one of its partitions."""
        name = "last.json" if partition is None else f"{_digest(partition)}.partition.json"
        return _read(self._asset_folder(asset, kind=kind) / name)

    def by_partition(self, asset: str, *, kind: RecordKind) -> list[AssetRecordEntry]:
        """Return the last event of a kind about each partition of an asset."""
        folder = self._asset_folder(asset, kind=kind)
        found = (_read(path) for path in sorted(folder.glob("*.partition.json")))
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.storage_id)

    def dynamic_partitions(self, name: str) -> list[str]:
        """Return the keys of dynamic partitions, in the order in which they were added."""
        path = self._dynamic_path(name)
        return list(json.loads(path.read_text())) if path.exists() else []

    def add_dynamic_partitions(self, name: str, *, keys: Sequence[str]) -> None:
        """Add keys; one that is there already stays where it is."""
        with self._locked(name):
            known = self.dynamic_partitions(name)
            _replace(self._dynamic_path(name), json.dumps([*known, *(key for key in keys if key not in known)]))

    def delete_dynamic_partition(self, name: str, *, key: str) -> None:
        """Take a key away, if it is there."""
        with self._locked(name):
            known = self.dynamic_partitions(name)
            _replace(self._dynamic_path(name), json.dumps([other for other in known if other != key]))

    def _asset_folder(self, asset: str, *, kind: RecordKind) -> Path:
        return self._folder / "assets" / _digest(asset) / kind

    def _dynamic_path(self, name: str) -> Path:
        return self._folder / "dynamic_partitions" / f"{_digest(name)}.json"

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Keep other processes from changing the same keys: unlike a record, a set is read before it is written."""
        lock = self._dynamic_path(name).with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _digest(name: str) -> str:
    """Name a file after something that may hold any character."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(text)
    draft.replace(path)


def _read(path: Path) -> AssetRecordEntry | None:
    try:
        return AssetRecordEntry(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
