"""What every part of the running control plane shares."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from isthmus.v1.telemetry_pb2 import LocationSnapshot
from isthmus_broker.settings import BrokerSettings
from isthmus_store import snapshots
from isthmus_store.database import Database
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.tally import LaunchTally
from isthmus_control_plane.validation.definition import Definitions
from isthmus_control_plane.wake import WakeHub

#: Snapshots whose indexes are kept in memory, bytes of the snapshots: dozens of usual locations, or a very large one.
MAX_CACHED_BYTES: Final = 32 * 1024 * 1024
#: Larger ones are read off the event loop, bytes.
_LARGE_BYTES: Final = 256 * 1024

_T = TypeVar("_T")


class DefinitionCache:
    """Indexes over snapshots, by hash: a hash never changes its meaning, so nothing here grows stale."""

    def __init__(self, *, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._by_hash: OrderedDict[str, Definitions] = OrderedDict()
        self._sizes: dict[str, int] = {}

    @property
    def size(self) -> int:
        """How many bytes the snapshots have whose indexes are kept."""
        return sum(self._sizes.values())

    async def get(self, tx: Transaction, snapshot_hash: str) -> Definitions | None:
        """Return what a snapshot defines; None for an empty hash, or one that is not stored."""
        if snapshot_hash in self._by_hash:
            self._by_hash.move_to_end(snapshot_hash)
            return self._by_hash[snapshot_hash]
        body = await snapshots.get(tx, snapshot_hash) if snapshot_hash else None
        if body is None:
            return None
        found = await read_snapshot(body, of=_index)
        self._keep(snapshot_hash, found, size=len(body))
        return found

    def _keep(self, snapshot_hash: str, found: Definitions, *, size: int) -> None:
        """Keep an index, and let those go that were asked for longest ago. The newest stays, however large it is."""
        self._by_hash[snapshot_hash], self._sizes[snapshot_hash] = found, size
        while self.size > self._max_bytes and len(self._by_hash) > 1:
            oldest, _ = self._by_hash.popitem(last=False)
            del self._sizes[oldest]


async def read_snapshot(body: bytes, *, of: Callable[[bytes], _T]) -> _T:
    """Return what a function makes of a snapshot's bytes; of many bytes, off the event loop."""
    return of(body) if len(body) <= _LARGE_BYTES else await asyncio.to_thread(of, body)


def _index(body: bytes) -> Definitions:
    return Definitions.of(LocationSnapshot.FromString(body))


class Core:
    """The database, the wake-ups, and the settings."""

    def __init__(self, settings: ControlPlaneSettings, *, database: Database, hub: WakeHub) -> None:
        self.settings: Final = settings
        self.database: Final = database
        self.hub: Final = hub
        self.definitions: Final = DefinitionCache()
        self.tally: Final = LaunchTally()
        self.broker: Final = BrokerSettings(url=settings.broker_url, connection_name="isthmus control plane")

    @asynccontextmanager
    async def change_fleet(self) -> AsyncIterator[WriteTransaction]:
        """Open a transaction that moves locations or tells agents of them; there is one at a time.

        Two of them at once would each tell an agent the set that it read, and one's change be lost to the agent.
        """
        async with self.database.write() as tx:
            # Across control planes; SQLite's writer is alone anyway.
            await tx.exclusive("fleet")
            yield tx
