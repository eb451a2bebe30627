"""What becomes of a location's dedicated servers: the table of cases, and what holds in every case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_agent.dedicated.plan import PoolPlan, PoolWish, ServerFacts, Stage, Waiting, plan_pool
from isthmus_agent.run_key import RunKey

LOADING, READY, TAKEN, BROKEN, ENDING = Stage.LOADING, Stage.READY, Stage.TAKEN, Stage.BROKEN, Stage.ENDING
A, B, C = RunKey("a", 1), RunKey("b", 1), RunKey("c", 1)


def server(
    name: str, stage: Stage = READY, *, fits: bool = True, to: RunKey | None = None, stale: bool = False
) -> ServerFacts:
    return ServerFacts(name, stage, fits=fits, bound_to=to, is_stale=stale)


NONE, TWO = PoolWish(standby=0), PoolWish(standby=2)
CLOSED = PoolWish(standby=0, is_open=False)


@pytest.mark.parametrize(
    ("wish", "servers", "waiting", "plan"),
    [
        pytest.param(NONE, [], [], PoolPlan(), id="nothing is wanted"),
        pytest.param(TWO, [], [], PoolPlan(refills=True), id="the pool is filled up"),
        pytest.param(TWO, [server("s", LOADING)], [], PoolPlan(), id="one import at a time"),
        pytest.param(TWO, [server("s")], [], PoolPlan(refills=True), id="the next one"),
        pytest.param(TWO, [server("s"), server("t")], [], PoolPlan(), id="the pool is full"),
        pytest.param(TWO, [server("s"), server("t", TAKEN)], [], PoolPlan(refills=True), id="the taken do not count"),
        pytest.param(PoolWish(2, may_refill=False), [], [], PoolPlan(), id="a launch is in flight, or a back-off runs"),
        pytest.param(PoolWish(2, is_known=False), [server("s", fits=False)], [], PoolPlan(), id="nothing known yet"),
        pytest.param(NONE, [], [Waiting(A)], PoolPlan(cold=(A,)), id="a cold start without standby"),
        pytest.param(TWO, [server("s")], [Waiting(A)], PoolPlan(gives=((A, "s"),), refills=True), id="a warm start"),
        pytest.param(
            TWO,
            [server("s"), server("t")],
            [Waiting(A), Waiting(B), Waiting(C)],
            PoolPlan(gives=((A, "s"), (B, "t")), cold=(C,)),
            id="in order, the rest cold, and no refill meanwhile",
        ),
        pytest.param(TWO, [server("s", LOADING)], [Waiting(A)], PoolPlan(), id="the standby that loads comes first"),
        pytest.param(
            TWO,
            [server("s", LOADING)],
            [Waiting(A), Waiting(B)],
            PoolPlan(cold=(B,)),
            id="the second cannot count on it",
        ),
        pytest.param(NONE, [server("r", LOADING, to=A)], [Waiting(A)], PoolPlan(), id="its own loads"),
        pytest.param(NONE, [server("r", to=A)], [Waiting(A)], PoolPlan(gives=((A, "r"),)), id="its own is ready"),
        pytest.param(
            TWO,
            [server("s"), server("r", LOADING, to=A)],
            [Waiting(A)],
            PoolPlan(gives=((A, "s"),), refills=True),
            id="a standby was faster than its own",
        ),
        pytest.param(
            TWO,
            [server("s")],
            [Waiting(A, takes_standby=False)],
            PoolPlan(cold=(A,)),
            id="other limits need another server",
        ),
        pytest.param(
            NONE,
            [server("r", fits=False, to=A)],
            [Waiting(A, takes_standby=False)],
            PoolPlan(gives=((A, "r"),)),
            id="and get it",
        ),
        pytest.param(
            NONE,
            [server("q", LOADING, to=A), server("r", LOADING, to=B)],
            [Waiting(A), Waiting(B), Waiting(C)],
            PoolPlan(),
            id="no more than so many imports at once",
        ),
        pytest.param(
            TWO,
            [server("old", fits=False), server("run", TAKEN, fits=False)],
            [],
            PoolPlan(refills=True, stops=("old",)),
            id="a new generation replaces the idle",
        ),
        pytest.param(TWO, [server("s", BROKEN)], [], PoolPlan(refills=True, stops=("s",)), id="the broken go"),
        pytest.param(CLOSED, [server("s"), server("t", LOADING)], [], PoolPlan(stops=("s", "t")), id="the pool closes"),
        pytest.param(CLOSED, [server("r", LOADING, to=A)], [Waiting(A)], PoolPlan(), id="but not on a launch"),
        pytest.param(CLOSED, [], [Waiting(A)], PoolPlan(cold=(A,)), id="a launch does not wait for its return"),
        pytest.param(NONE, [server("s")], [], PoolPlan(), id="one too many is kept for a moment"),
        pytest.param(NONE, [server("s", stale=True)], [], PoolPlan(stops=("s",)), id="and then goes"),
        pytest.param(
            PoolWish(1),
            [server("s", stale=True), server("t", stale=True)],
            [],
            PoolPlan(stops=("s",)),
            id="only those that are too many",
        ),
        pytest.param(NONE, [server("r", LOADING)], [], PoolPlan(), id="one that loads for nobody is kept for a moment"),
        pytest.param(
            NONE, [server("r", LOADING, stale=True)], [], PoolPlan(stops=("r",)), id="and then goes, loaded or not"
        ),
        pytest.param(
            NONE, [server("r", LOADING, stale=True)], [Waiting(A)], PoolPlan(), id="unless a launch counts on it"
        ),
        pytest.param(
            PoolWish(1),
            [server("r", LOADING, stale=True), server("s", LOADING, stale=True)],
            [],
            PoolPlan(stops=("r",)),
            id="or it is wanted as a standby",
        ),
        pytest.param(NONE, [server("s", ENDING)], [], PoolPlan(), id="what ends is left to end"),
    ],
)
def test_cases(wish: PoolWish, servers: list[ServerFacts], waiting: list[Waiting], plan: PoolPlan) -> None:
    assert plan_pool(wish, servers=servers, waiting=waiting) == plan


KEYS = [A, B, C]
WAITING = st.lists(st.sampled_from(KEYS), unique=True).flatmap(
    lambda keys: st.tuples(*(st.builds(Waiting, st.just(key), takes_standby=st.booleans()) for key in keys))
)
SERVERS = st.lists(
    st.builds(
        ServerFacts,
        name=st.sampled_from("pqrstuvw"),
        stage=st.sampled_from(Stage),
        fits=st.booleans(),
        is_stale=st.booleans(),
    ),
    unique_by=lambda one: one.name,
)
WISHES = st.builds(PoolWish, st.integers(0, 3), is_open=st.booleans(), is_known=st.booleans(), may_refill=st.booleans())


@given(wish=WISHES, servers=SERVERS, waiting=WAITING)
def test_what_holds_in_every_case(wish: PoolWish, servers: list[ServerFacts], waiting: tuple[Waiting, ...]) -> None:
    plan = plan_pool(wish, servers=servers, waiting=waiting)
    by_name = {one.name: one for one in servers}
    given_names = [name for _, name in plan.gives]
    assert len(set(given_names)) == len(given_names)
    assert all(by_name[name].stage is READY for name in given_names)
    assert not any(by_name[name].stage in {TAKEN, ENDING} for name in plan.stops)
    assert len({*plan.stops, *given_names}) == len(plan.stops) + len(given_names)
    served = {key for key, _ in plan.gives}
    assert not served & set(plan.cold)
    # Nobody overtakes: who is given a standby was not behind somebody who would have taken it.
    left = [one for one in waiting if one.key not in served]
    for one in waiting:
        if one.key in served:
            assert not any(other.takes_standby and waiting.index(other) < waiting.index(one) for other in left)
    assert not plan.refills or (wish.may_refill and wish.is_open and not left)
