"""What keeps a run in the queue: one function says it, for those who decide and for those who explain. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple

from isthmus_store.launch import MOST_ON_THE_WAY
from isthmus_store.queue_line import Needs
from isthmus_store.record.queue import Pause, PauseKind

from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.queue import Wait
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules, Slot
from isthmus_control_plane.fleet.facts import Fleet
from isthmus_control_plane.key import AgentKey, LocationKey


class Cause(Enum):
    """The kinds of what a run can wait for, the one that most needs a person first."""

    PAUSE = auto()
    LOCATION = auto()
    LIMIT = auto()
    POOL = auto()
    #: Nothing but the runs that go first.
    ORDER = auto()
    #: It is a retry, and waits out its pause.
    BACKOFF = auto()
    #: It runs, and each of its threads waits for another one, or for a lock.
    STANDSTILL = auto()


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that keeps a run in the queue. All of them must go before it leaves."""

    cause: Cause
    #: One line for people: what it waits for.
    text: str
    #: What would unblock it.
    remedy: str = ""
    #: Of a limit: what is taken, and by how many of how many.
    slot: Slot | None = None
    taken: int = 0
    most: int = 0


class PauseKey(NamedTuple):
    """What is paused."""

    deployment: str
    kind: PauseKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All that decides which runs leave the queue, at one moment."""

    fleet: Fleet
    rules: Mapping[str, Rules] = field(default_factory=dict)
    pauses: Mapping[PauseKey, Pause] = field(default_factory=dict)
    taken: Counter[Slot] = field(default_factory=Counter)
    #: How many launches of each location are on their way to each agent: dispatched, and not accepted yet.
    on_the_way: Counter[tuple[LocationKey, AgentKey]] = field(default_factory=Counter)
    #: How many slots of pools steps wait for, or will claim whose runs have left just now.
    awaited: Counter[Slot] = field(default_factory=Counter)
    #: What was found to keep all runs of a location, and where they may go.
    _standing: dict[LocationKey, tuple[Block, ...]] = field(default_factory=dict, compare=False, repr=False)
    _takers: dict[LocationKey, tuple[AgentKey, ...]] = field(default_factory=dict, compare=False, repr=False)

    def standing(self, location: LocationKey) -> tuple[Block, ...]:
        """List what keeps all runs of a location in the queue, whatever leaves meanwhile."""
        known = self._standing.get(location)
        if known is None:
            known = self._standing[location] = tuple(_standing(location, self))
        return known

    def again(self) -> "View":
        """Return the same view, for another decision that counts slots on; what keeps locations is found out once."""
        taken, on_the_way, awaited = Counter(self.taken), Counter(self.on_the_way), Counter(self.awaited)
        return View(self.fleet, self.rules, self.pauses, taken, on_the_way, awaited, self._standing, self._takers)

    def takers(self, location: LocationKey) -> tuple[AgentKey, ...]:
        """List the agents that runs of a location may go to."""
        known = self._takers.get(location)
        if known is None:
            known = self._takers[location] = tuple(it.agent for it in self.fleet.takers(location))
        return known

    def has_room(self, location: LocationKey, agent: AgentKey) -> bool:
        """Tell whether an agent may be sent a launch of a location before it has accepted others."""
        return self.on_the_way[location, agent] < MOST_ON_THE_WAY

    def rules_of(self, location: LocationKey) -> Rules:
        """Return the limits of a location's deployment."""
        return self.rules.get(location.deployment, NO_RULES)


def blocks(needs: Needs, view: View) -> list[Block]:
    """List what keeps runs with these needs in the queue, what most needs a person first; nothing for one that may go."""
    return list(_blocks(needs, view))


def first_block(needs: Needs, view: View) -> Block | None:
    """Return what most needs a person of all that keeps runs with these needs; None for those that may go."""
    return next(_blocks(needs, view), None)


def _blocks(needs: Needs, view: View) -> Iterator[Block]:
    location = needs.location
    return chain(
        view.standing(location),
        _paused_pools(needs, view),
        full(needs, view),
        _closed_roots(needs, view),
        _crowded_way(location, view),
    )


def _standing(location: LocationKey, view: View) -> list[Block]:
    found = [_paused(pause) for pause in _pauses_of(location, view)]
    verdict = queue.decide(location, fleet=view.fleet)
    if isinstance(verdict, Wait):
        found.append(Block(Cause.LOCATION, verdict.reason))
    return found


def full(needs: Needs, view: View) -> Iterator[Block]:
    """List the limits that are reached."""
    for limit in view.rules_of(needs.location).limits_of(needs):
        used = view.taken[limit.slot]
        if used >= limit.most:
            cause = Cause.POOL if limit.slot.kind == "pool" else Cause.LIMIT
            text = f"{limit.slot} is full: {used} of {limit.most} runs"
            remedy = "wait until one of them ends, or raise the limit: isthmus queue set FILE"
            yield Block(cause, text, remedy=remedy, slot=limit.slot, taken=used, most=limit.most)


def _closed_roots(needs: Needs, view: View) -> list[Block]:
    """List the pools that all steps wait for which the run begins with; nothing where one of these could begin."""
    if not needs.root_pools or not view.rules_of(needs.location).are_pools_of_steps:
        return []
    found = [_closed(pool, needs, view) for pool in needs.root_pools]
    closed = [block for block in found if block is not None]
    return closed if len(closed) == len(found) else []


def _closed(pool: str, needs: Needs, view: View) -> Block | None:
    """Return why a step that comes now would wait for a pool; None where it has a slot."""
    deployment = needs.location.deployment
    pause = view.pauses.get(PauseKey(deployment, PauseKind.POOL, pool))
    if pause is not None:
        return _paused(pause)
    slot, rules = Slot(deployment, "pool", pool), view.rules_of(needs.location)
    used, awaited, most = view.taken[slot], view.awaited[slot], rules.most_of_pool(pool)
    if most is None or used + awaited < most + rules.run_buffer:
        return None
    waiting = f", and {awaited} {'step waits' if awaited == 1 else 'steps wait'} for one" if awaited else ""
    text = f"{slot} is full: {used} of {most} slots are taken{waiting}"
    remedy = "wait until one of them is free, or raise the limit: isthmus queue set FILE"
    return Block(Cause.POOL, text, remedy=remedy, slot=slot, taken=used, most=most)


def _room_of_roots(needs: Needs, view: View, *, most: int) -> int:
    """Count the runs that may leave before each step that they begin with would wait for a pool, up to a number."""
    rules = view.rules_of(needs.location)
    if not needs.root_pools or not rules.are_pools_of_steps:
        return most
    rooms = [0]
    for pool in needs.root_pools:
        slot, limit = Slot(needs.location.deployment, "pool", pool), rules.most_of_pool(pool)
        if PauseKey(needs.location.deployment, PauseKind.POOL, pool) not in view.pauses:
            used = view.taken[slot] + view.awaited[slot]
            rooms.append(most if limit is None else limit + rules.run_buffer - used)
    return min(most, max(rooms))


def has_full_way(location: LocationKey, view: View) -> bool:
    """Tell whether agents have first to accept launches of a location before they are sent more of them."""
    takers = view.takers(location)
    return bool(takers) and not any(view.has_room(location, agent) for agent in takers)


def _crowded_way(location: LocationKey, view: View) -> Iterator[Block]:
    if not has_full_way(location, view):
        return
    takers = view.takers(location)
    names, count = ", ".join(it.name for it in takers), sum(view.on_the_way[location, it] for it in takers)
    who = f"agent {names} has" if len(takers) == 1 else f"agents {names} have"
    text = f"{who} yet to accept {count} earlier runs of location {location.name}"
    yield Block(Cause.ORDER, text, remedy="wait: they go as those before them are accepted")


def is_free(needs: Needs, view: View) -> bool:
    """Tell whether no limit, no pool and no launch before them keeps runs with these needs."""
    if has_full_way(needs.location, view):
        return False
    taken = view.taken
    # Asked of hundreds of lines in a look: a loop costs a third of what a generator does.
    for slot, most in view.rules_of(needs.location).limits_of(needs):
        if taken.get(slot, 0) >= most:
            return False
    if not needs.pools:
        return True
    return not (view.pauses and _paused_pools(needs, view)) and not _closed_roots(needs, view)


def room_of(needs: Needs, view: View, *, most: int) -> int:
    """Count the runs with these needs that may leave, up to a number."""
    limits = view.rules_of(needs.location).limits_of(needs)
    ways = [MOST_ON_THE_WAY - view.on_the_way[needs.location, it] for it in view.takers(needs.location)]
    left = sum(max(0, it) for it in ways) if ways else MOST_ON_THE_WAY
    roots = _room_of_roots(needs, view, most=most)
    return max(0, min([roots, left, *(limit.most - view.taken.get(limit.slot, 0) for limit in limits)]))


def take(needs: Needs, view: View) -> None:
    """Count the slots of a run that leaves, and its launch."""
    takers = view.takers(needs.location)
    if takers:
        emptiest = min(takers, key=lambda it: view.on_the_way[needs.location, it])
        view.on_the_way[needs.location, emptiest] += 1
    rules = view.rules_of(needs.location)
    for slot in {limit.slot for limit in rules.limits_of(needs)}:
        view.taken[slot] += 1
    for pool in needs.root_pools if rules.are_pools_of_steps else ():
        view.awaited[Slot(needs.location.deployment, "pool", pool)] += 1


def _pauses_of(location: LocationKey, view: View) -> Iterator[Pause]:
    """List the pauses that keep all runs of a location."""
    takers = view.takers(location) or [it.agent for it in view.fleet.held(location)]
    of_agents = [PauseKey(location.deployment, PauseKind.AGENT, it.name) for it in takers]
    keys = [
        PauseKey(location.deployment, PauseKind.DEPLOYMENT),
        PauseKey(location.deployment, PauseKind.QUEUE),
        PauseKey(location.deployment, PauseKind.LOCATION, location.name),
    ]
    if all(key in view.pauses for key in of_agents):
        # With another agent that takes them they do not wait for the paused one.
        keys += of_agents
    return (view.pauses[key] for key in keys if key in view.pauses)


def _paused_pools(needs: Needs, view: View) -> list[Block]:
    if view.rules_of(needs.location).are_pools_of_steps:
        # It is the steps that wait.
        return []
    keys = (PauseKey(needs.location.deployment, PauseKind.POOL, pool) for pool in needs.pools)
    return [_paused(view.pauses[key]) for key in keys if key in view.pauses]


def _paused(pause: Pause) -> Block:
    kind = pause.kind.value.lower()
    subject = "the queue" if pause.kind is PauseKind.QUEUE else f"{kind} {pause.name or pause.deployment}"
    by = f" by {pause.paused_by}" if pause.paused_by else ""
    why = f": {pause.why}" if pause.why else ""
    target = " ".join(part for part in (kind, pause.name) if part)
    return Block(Cause.PAUSE, f"{subject} was paused{by}{why}", remedy=f"isthmus queue resume {target}")
