"""Which runs leave the queue: limits, priorities, fairness and order, as tables and over random histories."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings, TagLimit
from isthmus_control_plane.dispatching.block import Cause, PauseKey, View, blocks, room_of
from isthmus_control_plane.dispatching.choice import Candidate, Choice, Lines, Round, Waiting, choose
from isthmus_control_plane.dispatching.ledger import paused_agents
from isthmus_control_plane.dispatching.rules import HeldLine, Rules, Slot, taken
from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding, Location
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_store.launch import MOST_ON_THE_WAY
from isthmus_store.queue_line import LineName, Needs, line_name, needs_of, priority_of
from isthmus_store.record.queue import Pause, PauseKind
from isthmus_store.state import AgentState

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ETL, ML, STAGING = LocationKey("prod", "etl"), LocationKey("prod", "ml"), LocationKey("staging", "etl")
PLACES = (ETL, ML, STAGING)
ALPHA, BETA = AgentKey("prod", "alpha"), AgentKey("prod", "beta")


def fleet(*places: LocationKey) -> Fleet:
    """All of the locations are served."""
    keys = [AgentKey(place.deployment, "alpha") for place in places]
    return Fleet.of(
        [Agent(key, "default", AgentState.ONLINE) for key in dict.fromkeys(keys)],
        locations=[Location(place, "default", 1) for place in places],
        holdings=[Holding(place, key, 1, 1) for place, key in zip(places, keys, strict=True)],
    )


FLEET = fleet(*PLACES)


def rules(**fields: Any) -> Rules:
    return Rules.of(QueueSettings(**fields))


def view(
    of_prod: Rules | None = None, *, held: Mapping[Needs, int] | None = None, pauses: Iterable[Pause] = ()
) -> View:
    by_deployment = {"prod": of_prod} if of_prod is not None else {}
    counted = taken((HeldLine(*it) for it in (held or {}).items()), rules=by_deployment)
    return View(FLEET, by_deployment, {PauseKey(it.deployment, it.kind, it.name): it for it in pauses}, counted)


def needs(place: LocationKey = ETL, *, priority: int = 0, pools: tuple[str, ...] = (), **tags: str) -> Needs:
    return Needs(place, priority, tuple(sorted(tags.items())), pools)


def waiting(of: Needs, *ages_s: float, has_more: bool = False, name: str = "") -> Waiting:
    """A line whose runs are called by their ages."""
    line = name or repr(of)
    runs = [Candidate(NOON - timedelta(seconds=age), f"{of.location.name}-{age:g}") for age in ages_s]
    return Waiting(line, of, runs, has_more=has_more)


def grouped(lines: Iterable[Waiting]) -> Lines:
    found: Lines = {}
    for line in lines:
        found.setdefault(line.needs.priority, {}).setdefault(line.needs.location, {})[line.line] = line
    return found


def choice_of(*lines: Waiting, seen: View, room: int = 25, start: int = 0) -> Choice:
    return choose(grouped(lines), seen, of=Round(room, start=start))


def chosen(*lines: Waiting, seen: View, room: int = 25, start: int = 0) -> list[str]:
    return [run_id for run_id, _ in choice_of(*lines, seen=seen, room=room, start=start).picks]


def test_runs_of_a_location_go_in_the_order_of_their_launches_whatever_their_lines() -> None:
    lines = (waiting(needs(), 9, 5, 1), waiting(needs(team="a"), 7, 3), waiting(needs(pools=("db",)), 8))
    assert chosen(*lines, seen=view()) == ["etl-9", "etl-8", "etl-7", "etl-5", "etl-3", "etl-1"]


def test_a_location_gets_no_more_launches_than_its_agent_is_to_have_unaccepted() -> None:
    seen = view()
    seen.on_the_way[ETL, ALPHA] = MOST_ON_THE_WAY - 2
    lines = (waiting(needs(), 9, 8), waiting(needs(priority=1), 7, 6), waiting(needs(ML), 5))
    assert chosen(*lines, seen=seen) == ["etl-7", "etl-6", "ml-5"]
    told = blocks(needs(), seen)
    assert [(it.cause, it.text) for it in told] == [
        (Cause.ORDER, "agent alpha has yet to accept 200 earlier runs of location etl")
    ]
    assert blocks(needs(ML), seen) == []


def served_twice(*serving: int) -> View:
    """Location etl on two agents."""
    held = [Holding(ETL, key, 2, generation) for key, generation in zip((ALPHA, BETA), serving, strict=True)]
    agents = [Agent(key, "default", AgentState.ONLINE) for key in (ALPHA, BETA)]
    return View(Fleet.of(agents, locations=[Location(ETL, "default", 2, 2)], holdings=held))


def test_each_agent_of_a_location_has_launches_to_accept() -> None:
    seen = served_twice(2, 2)
    seen.on_the_way[ETL, ALPHA] = MOST_ON_THE_WAY
    seen.on_the_way[ETL, BETA] = MOST_ON_THE_WAY - 2
    assert room_of(needs(), seen, most=25) == 2
    assert chosen(waiting(needs(), 9, 8, 7), seen=seen) == ["etl-9", "etl-8"]
    assert [it.text for it in blocks(needs(), seen)] == [
        "agents alpha, beta have yet to accept 400 earlier runs of location etl"
    ]


def test_launches_that_an_agent_has_to_accept_of_which_no_run_goes_there_hold_back_nobody() -> None:
    seen = served_twice(2, 1)
    seen.on_the_way[ETL, BETA] = MOST_ON_THE_WAY
    assert chosen(waiting(needs(), 9, 8, 7), seen=seen) == ["etl-9", "etl-8", "etl-7"]


@pytest.mark.parametrize(
    ("paused", "texts"),
    [((), []), (("alpha",), []), (("alpha", "beta"), ["agent alpha was paused", "agent beta was paused"])],
)
def test_a_location_waits_for_paused_agents_when_it_has_no_others(paused: tuple[str, ...], texts: list[str]) -> None:
    all_of = [
        Pause(deployment="prod", kind=PauseKind.AGENT, name=name, paused_by="", why="", paused_at=NOON)
        for name in paused
    ]
    keys = {PauseKey(it.deployment, it.kind, it.name): it for it in all_of}
    seen = View(served_twice(2, 2).fleet.with_paused(paused_agents(keys)), pauses=keys)
    assert [it.text for it in blocks(needs(), seen)] == texts


def test_a_larger_priority_goes_first_and_words_are_no_priority() -> None:
    lines = (waiting(needs(), 9), waiting(needs(ML, priority=5), 1), waiting(needs(ML, priority=-1), 20))
    assert chosen(*lines, seen=view()) == ["ml-1", "etl-9", "ml-20"]
    assert [priority_of({"dagster/priority": text}) for text in ("7", "-3", "high", "", "1.5")] == [7, -3, 0, 0, 0]
    assert priority_of({"dagster/priority": "9" * 30}) == 2**31


def test_deployments_and_in_them_locations_take_turns() -> None:
    lines = (waiting(needs(), 9, 8, 7, 6), waiting(needs(ML), 3, 2, 1), waiting(needs(STAGING), 0.5, 0.4, 0.3))
    left = choice_of(*lines, seen=view(), room=6).picks
    assert Counter(line.needs.location for _, line in left) == {STAGING: 3, ETL: 2, ML: 1}
    assert chosen(*lines, seen=view(), room=1) != chosen(*lines, seen=view(), room=1, start=1)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({"max_runs": 2}, ["etl-9", "etl-8"], id="the deployment's"),
        pytest.param({"max_runs": 0}, [], id="none at all"),
        pytest.param({"locations": {"etl": 1}}, ["etl-9"], id="the location's"),
        pytest.param({"locations": {"ml": 1}}, ["etl-9", "etl-8", "etl-7", "etl-6"], id="another location's"),
        pytest.param({"tags": [TagLimit(key="team", limit=1)]}, ["etl-9", "etl-6"], id="a tag's, whatever its value"),
        pytest.param({"tags": [TagLimit(key="team", value="a", limit=1)]}, ["etl-9", "etl-7", "etl-6"], id="a value's"),
        pytest.param(
            {"tags": [TagLimit(key="team", per_value=True, limit=1)]}, ["etl-9", "etl-7", "etl-6"], id="each value's"
        ),
        pytest.param({"pools": PoolLimits(limits={"db": 0})}, ["etl-9", "etl-8", "etl-7"], id="a pool's"),
        pytest.param({"pools": PoolLimits(default_limit=0)}, ["etl-9", "etl-8", "etl-7"], id="any pool's"),
        pytest.param(
            {"pools": PoolLimits(default_limit=0, limits={"db": 1})},
            ["etl-9", "etl-8", "etl-7", "etl-6"],
            id="its own before any pool's",
        ),
    ],
)
def test_a_limit_holds_back_those_that_it_is_about_and_nobody_behind_them(
    limits: dict[str, Any], expected: list[str]
) -> None:
    lines = (waiting(needs(team="a"), 9, 8), waiting(needs(team="b"), 7), waiting(needs(pools=("db",)), 6))
    assert chosen(*lines, seen=view(rules(**limits))) == expected


def test_all_limits_that_a_run_falls_under_must_have_room() -> None:
    both = needs(team="a", pools=("db",))
    limits = rules(tags=[TagLimit(key="team", limit=1)], pools=PoolLimits(limits={"db": 1}))
    assert chosen(waiting(both, 9), seen=view(limits, held={needs(pools=("db",)): 1})) == []
    assert chosen(waiting(both, 9), seen=view(limits, held={needs(team="b"): 1})) == []
    assert chosen(waiting(both, 9), seen=view(limits, held={needs(): 7})) == ["etl-9"]


def test_a_run_that_a_pool_holds_back_takes_no_slot_of_its_tag_meanwhile() -> None:
    limits = rules(tags=[TagLimit(key="team", limit=1)], pools=PoolLimits(limits={"db": 1}))
    seen = view(limits, held={needs(pools=("db",)): 1})
    assert chosen(waiting(needs(team="a", pools=("db",)), 9), waiting(needs(team="a"), 5), seen=seen) == ["etl-5"]


def test_a_tag_that_two_limits_name_counts_once_for_each() -> None:
    twice = rules(tags=[TagLimit(key="team", limit=5), TagLimit(key="team", limit=2)])
    assert len(chosen(waiting(needs(team="a"), 9, 8, 7), seen=view(twice))) == 2


def test_limits_of_one_deployment_are_not_another_s() -> None:
    assert chosen(waiting(needs(STAGING), 9), seen=view(rules(max_runs=0))) == ["etl-9"]


@pytest.mark.parametrize(
    ("kind", "name", "left"),
    [
        (PauseKind.DEPLOYMENT, "", ["etl-3"]),
        (PauseKind.QUEUE, "", ["etl-3"]),
        (PauseKind.LOCATION, "etl", ["etl-3", "ml-5"]),
        (PauseKind.AGENT, "alpha", ["etl-3"]),
        (PauseKind.POOL, "db", ["etl-3", "etl-9", "ml-5"]),
    ],
)
def test_what_is_paused_stays_in_the_queue_and_says_who_paused_it(kind: PauseKind, name: str, left: list[str]) -> None:
    pause = Pause(deployment="prod", kind=kind, name=name, paused_by="ana", why="moving house", paused_at=NOON)
    pooled, plain = needs(pools=("db",)), needs()
    lines = (waiting(pooled, 8), waiting(plain, 9), waiting(needs(ML), 5), waiting(needs(STAGING), 3))
    seen = view(pauses=[pause])
    assert sorted(chosen(*lines, seen=seen)) == sorted(left)
    (block,) = blocks(pooled, seen)
    assert block.cause is Cause.PAUSE
    assert "was paused by ana: moving house" in block.text


def test_all_that_holds_a_run_back_is_told_what_needs_a_person_first() -> None:
    pause = Pause(deployment="prod", kind=PauseKind.QUEUE, name="", paused_by="", why="", paused_at=NOON)
    seen = view(rules(max_runs=1, pools=PoolLimits(limits={"db": 1})), held={needs(pools=("db",)): 1}, pauses=[pause])
    found = blocks(needs(LocationKey("prod", "gone"), pools=("db",)), seen)
    assert [it.cause for it in found] == [Cause.PAUSE, Cause.LOCATION, Cause.LIMIT, Cause.POOL]
    assert found[2].text == "deployment prod is full: 1 of 1 runs"
    assert (found[3].slot, found[3].taken, found[3].most) == (Slot("prod", "pool", "db"), 1, 1)


def test_nobody_overtakes_runs_that_were_not_read_yet() -> None:
    known = waiting(needs(team="a"), 9, 8, has_more=True)
    choice = choice_of(known, waiting(needs(team="b"), 1), waiting(needs(ML, priority=-1), 50), seen=view())
    assert [run_id for run_id, _ in choice.picks] == ["etl-9", "etl-8"]
    assert choice.is_cut


def test_a_line_s_name_tells_what_its_runs_share_and_is_ordered_by_priority() -> None:
    keys = {"team"}
    tags = {"team": "a", "dagster/priority": "3", "note": "x"}
    of = needs_of(ETL, tags=tags, pools=["db", "db"], keys=keys)
    assert of == Needs(ETL, 3, (("team", "a"),), ("db",))
    name = LineName.parse(line_name(of, keys=keys))
    assert name is not None
    assert (name.location, name.priority, name.is_complete, name.is_plain) == (ETL, 3, True, False)
    assert line_name(of, keys=keys) == line_name(
        needs_of(ETL, tags={**tags, "note": "y"}, pools=["db"], keys=keys), keys=keys
    )
    ordered = [line_name(needs(priority=priority), keys=()) for priority in (2**31, 10, 9, 0, -1, -(2**31))]
    assert ordered == sorted(ordered)
    plain = LineName.parse(ordered[1])
    assert plain is not None
    assert plain.plain_needs == needs(priority=10)
    assert LineName.parse("") is None
    assert LineName.parse("etl") is None


LIMITS = st.builds(
    QueueSettings,
    max_runs=st.none() | st.integers(0, 6),
    locations=st.dictionaries(st.sampled_from(["etl", "ml"]), st.integers(0, 3)),
    tags=st.lists(
        st.builds(TagLimit, key=st.just("team"), limit=st.integers(0, 3), value=st.none() | st.sampled_from("ab"))
        | st.builds(TagLimit, key=st.sampled_from(["team", "tier"]), limit=st.integers(0, 3), per_value=st.booleans()),
        max_size=3,
    ),
    pools=st.builds(
        PoolLimits,
        default_limit=st.none() | st.integers(0, 2),
        limits=st.dictionaries(st.sampled_from(["db", "gpu"]), st.integers(0, 2)),
    ),
)
NEEDS = st.builds(
    Needs,
    st.sampled_from(PLACES),
    st.integers(-1, 1),
    st.sampled_from([(), (("team", "a"),), (("team", "b"),), (("team", "a"), ("tier", "x")), (("tier", "y"),)]),
    st.sampled_from([(), ("db",), ("db", "gpu")]),
)


class QueueMachine(RuleBasedStateMachine):
    """Runs come, leave, end and are lost while limits change; a model that counts by itself looks on."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[str, Rules] = {}
        self.waiting: dict[Needs, deque[Candidate]] = {}
        self.running: dict[str, Needs] = {}
        self.made = self.gone = 0

    @initialize(limits=LIMITS)
    def begin(self, limits: QueueSettings) -> None:
        self.limits["prod"] = Rules.of(limits)

    @rule(of=NEEDS, count=st.integers(1, 4))
    def launch(self, of: Needs, count: int) -> None:
        for _ in range(count):
            self.made += 1
            run = Candidate(NOON + timedelta(seconds=self.made), f"run-{self.made:05}")
            self.waiting.setdefault(of, deque()).append(run)

    @rule(limits=LIMITS)
    def change_limits(self, limits: QueueSettings) -> None:
        self.limits["prod"] = Rules.of(limits)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A run ends, or its worker dies: its row says so, and nothing else is told."""
        if self.running:
            del self.running[data.draw(st.sampled_from(sorted(self.running)))]

    @rule(room=st.integers(1, 8), known=st.integers(1, 3))
    def look(self, room: int, known: int) -> None:
        before = Counter(self.running.values())
        seen = self.view()
        lines = [
            Waiting(repr(of), of, list(runs)[:known], has_more=len(runs) > known)
            for of, runs in self.waiting.items()
            if runs
        ]
        choice = choice_of(*lines, seen=seen, room=room, start=self.gone)
        for run_id, line in choice.picks:
            assert self.waiting[line.needs].popleft().run_id == run_id, "each line in its order"
            self.running[run_id] = line.needs
        self.gone += len(choice.picks)
        self.check_order(choice.picks)
        self.check_limits(before)
        if not choice.picks:
            self.check_nobody_could_leave()

    def view(self) -> View:
        held = (HeldLine(*it) for it in Counter(self.running.values()).items())
        return View(FLEET, self.limits, {}, taken(held, rules=self.limits))

    def check_order(self, picks: list[tuple[str, Waiting]]) -> None:
        """In a round, priorities fall, and of one location and priority no run passes one of the same needs."""
        priorities = [line.needs.priority for _, line in picks]
        assert priorities == sorted(priorities, reverse=True)
        for place in PLACES:
            for priority in set(priorities):
                ids = [run for run, line in picks if (line.needs.location, line.needs.priority) == (place, priority)]
                assert ids == sorted(ids), "in the order of launches"

    def check_limits(self, before: Counter[Needs]) -> None:
        """No limit is passed by a round; one that was lowered meanwhile may have been passed before."""
        for deployment, limits in self.limits.items():
            now = Counter[Slot]()
            then = Counter[Slot]()
            most: dict[Slot, int] = {}
            for counts, held in ((now, Counter(self.running.values())), (then, before)):
                for of, count in held.items():
                    for limit in set(limits.limits_of(of)) if of.location.deployment == deployment else ():
                        counts[limit.slot] = counts[limit.slot]
                        most[limit.slot] = min(most.get(limit.slot, limit.most), limit.most)
                    for slot in (
                        {it.slot for it in limits.limits_of(of)} if of.location.deployment == deployment else ()
                    ):
                        counts[slot] += count
            for slot, count in now.items():
                assert count <= max(most[slot], then[slot]), (slot, count, most[slot])

    def check_nobody_could_leave(self) -> None:
        for of, runs in self.waiting.items():
            assert not runs or blocks(of, self.view()), "a run waits that nothing holds back"

    @invariant()
    def slots_are_those_of_runs_that_have_not_ended(self) -> None:
        if not self.running:
            assert not +self.view().taken


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
