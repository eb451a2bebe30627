"""Reads what decides about the queue: limits, pauses, the slots that are taken, and what the runs of each line need."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus_store import queue_count, queue_settings, runs
from isthmus_store.queue_line import NO_SORTING, LineName, Needs, needs_of
from isthmus_store.record.queue import ClaimingLine, Held, OnTheWay, Pause, PauseKind, PoolUse
from isthmus_store.record.run import Run
from isthmus_store.transaction import Transaction

from isthmus_control_plane.dispatching.block import PauseKey, View
from isthmus_control_plane.dispatching.rules import NO_RULES, HeldLine, Rules, Slot, taken
from isthmus_control_plane.fleet.facts import Fleet
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import AgentKey, LocationKey

#: Lines whose needs are kept in memory.
_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the queue stands at, but for the runs that wait."""

    rules: Mapping[str, Rules]
    pauses: Mapping[PauseKey, Pause]
    held: tuple[Held, ...]
    needs: Mapping[str, Needs]
    on_the_way: Mapping[tuple[LocationKey, AgentKey], int]
    #: How many of the runs of each line that hold slots claim those of pools by their steps.
    claiming: Mapping[str, ClaimingLine]
    #: What steps have claimed.
    uses: tuple[PoolUse, ...]

    def view(self, fleet: Fleet) -> View:
        """Return what a decision is made on; a new one each time, since decisions count slots on in it."""
        counted = (
            HeldLine(self.needs[it.line], it.held, claiming.claiming if claiming is not None else 0)
            for it in self.held
            for claiming in (self.claiming.get(it.line),)
            if it.line in self.needs
        )
        counts = taken(counted, rules=self.rules)
        for use in self.uses:
            counts[Slot(use.deployment, "pool", use.pool)] += use.granted
        return View(
            fleet.with_paused(paused_agents(self.pauses)),
            self.rules,
            self.pauses,
            counts,
            Counter(self.on_the_way),
            self._awaited(),
        )

    def _awaited(self) -> Counter[Slot]:
        """Count the slots that steps wait for, and those that runs will claim that have only just left."""
        found: Counter[Slot] = Counter()
        for use in self.uses:
            found[Slot(use.deployment, "pool", use.pool)] += use.waiting
        for line, claiming in self.claiming.items():
            needs = self.needs.get(line)
            if needs is not None:
                for pool in needs.root_pools:
                    found[Slot(needs.location.deployment, "pool", pool)] += claiming.unclaimed
        return found


class NeedsMemory:
    """The needs of lines: a line's name never changes its meaning, so nothing here grows stale."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Needs] = OrderedDict()

    async def of(self, tx: Transaction, samples: Mapping[str, str], *, rules: Mapping[str, Rules]) -> dict[str, Needs]:
        """Return the needs of lines; those that were not seen before are told by one of their runs.

        Args:
            tx: Any transaction.
            samples: For each line, the id of a run that is in it.
            rules: The limits by which the lines were named.
        """
        names = {line: name for line in samples if (name := LineName.parse(line)) is not None}
        for line, name in names.items():
            if name.is_plain and line not in self._known:
                self._known[line] = name.plain_needs
        missing = {line: samples[line] for line in names if line not in self._known}
        if missing:
            await self._learn(tx, missing, names=names, rules=rules)
        found = {line: self._known[line] for line in names if line in self._known}
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    async def _learn(
        self,
        tx: Transaction,
        missing: Mapping[str, str],
        *,
        names: Mapping[str, LineName],
        rules: Mapping[str, Rules],
    ) -> None:
        ids = list(missing.values())
        by_id, tags = await runs.get_many(tx, ids), await runs.tags(tx, ids)
        for line, run_id in missing.items():
            run = by_id.get(run_id)
            if run is not None and run.line == line:
                keys = rules.get(names[line].location.deployment, NO_RULES).keys
                location = LocationKey(run.deployment, run.location)
                self._known[line] = needs_of(
                    location, tags=tags.get(run_id, {}), pools=run.pools, keys=keys, root_pools=run.root_pools
                )


async def read_rules(tx: Transaction, *, deployments: Iterable[str] | None = None) -> dict[str, Rules]:
    """Return the limits of each deployment that has some."""
    wanted = None if deployments is None else list(deployments)
    stored = await queue_settings.all_of(tx, deployments=wanted)
    return {it.deployment: Rules.parse(it.body) for it in stored}


async def read(tx: Transaction, memory: NeedsMemory, *, deployments: Collection[str]) -> Ledger:
    """Read what the queue stands at now; of the launches that are on their way, those of these deployments are counted."""
    count = await queue_count.read(tx, deployments)
    rules = {deployment: Rules.parse(body) for deployment, body in count.settings.items()}
    paused = {PauseKey(it.deployment, it.kind, it.name): it for it in count.pauses}
    if not any(it.is_limiting for it in rules.values()):
        # Without limits nobody asks what is taken.
        return Ledger(rules, paused, (), {}, _by_place(count.on_the_way), {}, ())
    needs = await memory.of(tx, {it.line: it.run_id for it in count.held}, rules=rules)
    claiming = {it.line: it for it in count.claiming}
    return Ledger(rules, paused, count.held, needs, _by_place(count.on_the_way), claiming, count.uses)


def paused_agents(paused: Iterable[PauseKey]) -> frozenset[AgentKey]:
    """Return which agents are paused, of all that is."""
    return frozenset(AgentKey(it.deployment, it.name) for it in paused if it.kind is PauseKind.AGENT)


def _by_place(launched: Iterable[OnTheWay]) -> dict[tuple[LocationKey, AgentKey], int]:
    return {(LocationKey(it.deployment, it.location), AgentKey(it.deployment, it.agent)): it.runs for it in launched}


def stale_lines(lines: Iterable[str], *, rules: Mapping[str, Rules], world: World) -> frozenset[str]:
    """Return the lines whose names are not good any more: other tags are asked for now, or the pools became known."""
    sortings = {deployment: it.sorting for deployment, it in rules.items()}
    return frozenset(line for line in lines if _is_stale(line, sortings=sortings, world=world))


def _is_stale(line: str, *, sortings: Mapping[str, str], world: World) -> bool:
    name = LineName.parse(line)
    if name is None:
        return True
    if name.sorting != sortings.get(name.location.deployment, NO_SORTING):
        return True
    return not name.is_complete and bool(world.serving_hash(name.location))


def place_of(run: Run) -> LocationKey:
    """Return the location that a run waits for."""
    return LocationKey(run.deployment, run.location)
