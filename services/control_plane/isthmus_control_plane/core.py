"""What every part of the running control plane shares."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from isthmus.v1.telemetry_pb2 import LocationSnapshot
from isthmus_broker.settings import BrokerSettings
from isthmus_store import snapshots
from isthmus_store.database import Database
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.validation.definition import Definitions
from isthmus_control_plane.wake import WakeHub

#: Snapshots indexed in memory: one per location that is launched from, with room for a few old ones.
_MAX_CACHED: Final = 64
#: Snapshots larger than this, bytes, are read off the event loop: it takes a few milliseconds for each MiB.
_LARGE_BYTES: Final = 1024**2


class DefinitionCache:
    """Indexes over snapshots, by hash: a hash never changes its meaning, so nothing here grows stale."""

    def __init__(self) -> None:
        self._by_hash: OrderedDict[str, Definitions] = OrderedDict()

    async def get(self, tx: Transaction, snapshot_hash: str) -> Definitions | None:
        """Return what a snapshot defines; None for an empty hash, or one that is not stored."""
        if snapshot_hash in self._by_hash:
            self._by_hash.move_to_end(snapshot_hash)
            return self._by_hash[snapshot_hash]
        body = await snapshots.get(tx, snapshot_hash) if snapshot_hash else None
        if body is None:
            return None
        if len(body) > _LARGE_BYTES:
            self._by_hash[snapshot_hash] = await asyncio.to_thread(_index, body)
        else:
            self._by_hash[snapshot_hash] = _index(body)
        if len(self._by_hash) > _MAX_CACHED:
            self._by_hash.popitem(last=False)
        return self._by_hash[snapshot_hash]


def _index(body: bytes) -> Definitions:
    return Definitions.of(LocationSnapshot.FromString(body))


class Core:
    """The database, the wake-ups, and the settings."""

    def __init__(self, settings: ControlPlaneSettings, *, database: Database, hub: WakeHub) -> None:
        self.settings: Final = settings
        self.database: Final = database
        self.hub: Final = hub
        self.definitions: Final = DefinitionCache()
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
