"""Puts runs into their lines: those whose line nobody has told, or was told by limits that are not those of now."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_lifecycle.log import get_logger
from isthmus_store import run_queue, runs
from isthmus_store.queue_line import line_name, needs_of
from isthmus_store.record.queue import Unsorted
from isthmus_store.run_queue import Sorted
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.pools import pools_of, root_pools_of
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import Definitions

log = get_logger(__name__)

#: Runs that are put into their lines in one transaction.
PORTION: Final = 1_000


class Sorter:
    """Names the lines of runs anew."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def sort(self, lines: Collection[str], *, rules: Mapping[str, Rules], world: World) -> int:
        """Sort some of the runs of lines whose names are not good any more; returns how many."""
        async with self._core.database.read() as tx:
            found = await run_queue.unsorted(tx, lines, limit=PORTION)
            tags = await runs.tags(tx, [it.run_id for it in found])
            known = {key: await self._definitions(tx, key, world=world) for key in {_place(it) for it in found}}
            requests = await self._requests(tx, found, known=known)
        moves = []
        for it in found:
            key = _place(it)
            keys, definitions = rules.get(it.deployment, NO_RULES).keys, known[key]
            pools, root_pools = it.pools, it.root_pools
            if definitions is not None and it.run_id in requests:
                pools = pools_of(requests[it.run_id], definitions=definitions)
                root_pools = root_pools_of(requests[it.run_id], definitions=definitions)
            needs = needs_of(key, tags=tags.get(it.run_id, {}), pools=pools, keys=keys, root_pools=root_pools)
            line = line_name(needs, keys=keys, is_complete=bool(world.serving_hash(key)))
            moves.append(Sorted(run_id=it.run_id, old_line=it.line, line=line, pools=pools, root_pools=root_pools))
        async with self._core.database.write() as tx:
            await run_queue.sort(tx, moves)
        log.info("queue_sorted", runs=len(moves))
        return len(moves)

    async def _definitions(self, tx: Transaction, key: LocationKey, *, world: World) -> Definitions | None:
        return await self._core.definitions.get(tx, world.serving_hash(key))

    async def _requests(
        self, tx: Transaction, found: Collection[Unsorted], *, known: Mapping[LocationKey, Definitions | None]
    ) -> dict[str, RunRequest]:
        """Return what is asked of those runs whose pools can be told by it."""
        ids = [it.run_id for it in found if (known[_place(it)] or _NOTHING).has_pools]
        requests = {}
        for run_id, run in (await runs.get_many(tx, ids)).items():
            # What cannot be read fails when it is dispatched, alone.
            with suppress(DecodeError):
                requests[run_id] = RunRequest.FromString(run.request)
        return requests


def _place(it: Unsorted) -> LocationKey:
    return LocationKey(it.deployment, it.location)


_NOTHING: Final = Definitions(jobs={}, assets={})
