"""What becomes of a location's servers: the table of cases, and what holds in every case."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_agent.locations.reconcile import Plan, ServerView, Wanted, reconcile
from isthmus_agent.servers.phase import ServerPhase
from isthmus_agent.servers.trouble import restart_wait_s

LOADING, READY, BROKEN = ServerPhase.LOADING, ServerPhase.READY, ServerPhase.BROKEN


def view(name: str, phase: ServerPhase, *, busy: bool = False) -> ServerView:
    return ServerView(name, generation=int(name[1:]), phase=phase, is_busy=busy)


@pytest.mark.parametrize(
    ("wanted", "servers", "serving", "plan"),
    [
        pytest.param(None, [], None, Plan((), None, ()), id="nothing wanted, nothing there"),
        pytest.param(Wanted("g1"), [], None, Plan(("g1",), None, ()), id="first start"),
        pytest.param(Wanted("g1", may_start=False), [], None, Plan((), None, ()), id="back-off runs"),
        pytest.param(Wanted("g1"), [view("g1", LOADING)], None, Plan((), None, ()), id="it loads"),
        pytest.param(Wanted("g1"), [view("g1", READY)], None, Plan((), "g1", ()), id="it is ready"),
        pytest.param(
            Wanted("g2"), [view("g1", READY)], "g1", Plan(("g2",), "g1", ()), id="the old serves while the new begins"
        ),
        pytest.param(
            Wanted("g2"),
            [view("g1", READY), view("g2", LOADING)],
            "g1",
            Plan((), "g1", ()),
            id="the old serves while the new loads",
        ),
        pytest.param(Wanted("g2"), [view("g1", READY), view("g2", READY)], "g1", Plan((), "g2", ("g1",)), id="switch"),
        pytest.param(
            Wanted("g2"),
            [view("g1", READY, busy=True), view("g2", READY)],
            "g2",
            Plan((), "g2", ()),
            id="runs keep their old server",
        ),
        pytest.param(
            Wanted("g2"),
            [view("g1", READY), view("g2", BROKEN)],
            "g1",
            Plan((), "g1", ("g2",)),
            id="a failed generation leaves the old one serving",
        ),
        pytest.param(
            Wanted("g2", may_start=False),
            [view("g1", READY, busy=True)],
            None,
            Plan((), "g1", ()),
            id="an adopted old one serves while the new one backs off",
        ),
        pytest.param(
            Wanted("g3"),
            [view("g1", READY), view("g2", READY)],
            None,
            Plan(("g3",), "g2", ("g1",)),
            id="of several old ones the newest serves",
        ),
        pytest.param(
            Wanted("g3"), [view("g2", LOADING)], None, Plan(("g3",), None, ("g2",)), id="a load overtaken is called off"
        ),
        pytest.param(Wanted("g1"), [view("g1", BROKEN)], "g1", Plan((), None, ("g1",)), id="the only one died"),
        pytest.param(
            None,
            [view("g1", READY, busy=True), view("g2", READY)],
            "g2",
            Plan((), None, ("g2",)),
            id="a removed location takes no launches, and its runs go on",
        ),
        pytest.param(Wanted("g1", is_allowed=False), [], None, Plan((), None, ()), id="a refused spec is not started"),
        pytest.param(
            Wanted("g2", is_allowed=False),
            [view("g1", READY)],
            "g1",
            Plan((), "g1", ()),
            id="a refused generation leaves the old one serving",
        ),
        pytest.param(
            Wanted("g1", is_allowed=False),
            [view("g1", READY)],
            "g1",
            Plan((), None, ("g1",)),
            id="what the policy no longer allows is ended though it runs",
        ),
    ],
)
def test_plan(wanted: Wanted | None, servers: list[ServerView], serving: str | None, plan: Plan) -> None:
    assert reconcile(wanted=wanted, servers=servers, serving=serving) == plan


@pytest.mark.parametrize(
    ("servers", "plan"),
    [
        pytest.param([], Plan(("g1",), None, ()), id="the last good one is started again"),
        pytest.param([view("g1", LOADING)], Plan((), None, ()), id="it loads, and is not called off"),
        pytest.param([view("g1", READY)], Plan((), "g1", ()), id="it serves"),
        pytest.param([view("g1", BROKEN)], Plan((), None, ("g1",)), id="what is left of it is ended first"),
    ],
)
def test_while_the_wanted_one_cannot_be_loaded(servers: list[ServerView], plan: Plan) -> None:
    wanted = Wanted("g2", may_start=False)
    assert reconcile(wanted=wanted, fallback=Wanted("g1"), servers=servers, serving=None) == plan


def test_the_last_good_one_backs_off_too() -> None:
    fallback = Wanted("g1", may_start=False)
    assert reconcile(wanted=Wanted("g2", may_start=False), fallback=fallback, servers=[], serving=None).starts == ()


def test_nothing_is_fallen_back_to_when_the_location_goes() -> None:
    servers = [view("g1", LOADING)]
    assert reconcile(wanted=None, fallback=Wanted("g1"), servers=servers, serving=None) == Plan((), None, ("g1",))


def test_nothing_is_fallen_back_to_when_another_serves() -> None:
    servers = [view("g1", LOADING), view("g3", READY)]
    plan = reconcile(wanted=Wanted("g4", may_start=False), fallback=Wanted("g1"), servers=servers, serving="g3")
    assert plan == Plan((), "g3", ("g1",))


names = st.sampled_from([f"g{number}" for number in range(1, 6)])
views = st.lists(
    st.builds(
        lambda name, phase, busy: view(name, phase, busy=busy), names, st.sampled_from(ServerPhase), st.booleans()
    ),
    unique_by=lambda server: server.name,
    max_size=5,
)
wishes = st.none() | st.builds(Wanted, names, st.booleans(), st.booleans())


@given(wanted=wishes, fallback=wishes, servers=views, serving=st.none() | names)
def test_what_serves_is_ready_and_is_not_stopped(
    wanted: Wanted | None, fallback: Wanted | None, servers: list[ServerView], serving: str | None
) -> None:
    plan = reconcile(wanted=wanted, fallback=fallback, servers=servers, serving=serving)
    if plan.serving is not None:
        assert next(server for server in servers if server.name == plan.serving).phase is READY
        assert plan.serving not in plan.stops


@given(wanted=wishes, fallback=wishes, servers=views, serving=st.none() | names)
def test_nothing_that_runs_live_on_is_stopped(
    wanted: Wanted | None, fallback: Wanted | None, servers: list[ServerView], serving: str | None
) -> None:
    plan = reconcile(wanted=wanted, fallback=fallback, servers=servers, serving=serving)
    for server in servers:
        if server.is_busy and server.phase is not BROKEN:
            assert server.name not in plan.stops


@given(wanted=wishes, fallback=wishes, servers=views, serving=st.none() | names)
def test_a_server_that_serves_and_can_go_on_is_replaced_by_the_wanted_one_alone(
    wanted: Wanted | None, fallback: Wanted | None, servers: list[ServerView], serving: str | None
) -> None:
    plan = reconcile(wanted=wanted, fallback=fallback, servers=servers, serving=serving)
    can_go_on = any(server.name == serving and server.phase is READY for server in servers)
    is_refused = wanted is not None and wanted.name == serving and not wanted.is_allowed
    if wanted is not None and can_go_on and not is_refused:
        assert plan.serving in {serving, wanted.name}


@given(wanted=wishes, fallback=wishes, servers=views, serving=st.none() | names)
def test_carrying_a_plan_out_ends_in_an_empty_one(
    wanted: Wanted | None, fallback: Wanted | None, servers: list[ServerView], serving: str | None
) -> None:
    actual, chosen = list(servers), serving
    for _ in range(4):
        plan = reconcile(wanted=wanted, fallback=fallback, servers=actual, serving=chosen)
        chosen = plan.serving
        # What serves no longer drains: its runs end.
        actual = [replace(server, is_busy=False) for server in actual if server.name not in plan.stops]
        actual += [view(name, READY) for name in plan.starts]
    assert reconcile(wanted=wanted, fallback=fallback, servers=actual, serving=chosen) == Plan((), chosen, ())
    may_serve = wanted is not None and wanted.is_allowed and wanted.may_start
    if may_serve:
        assert wanted is not None
        states = {server.name: server.phase for server in actual}
        assert states[wanted.name] in {READY, LOADING}
        # While it loads, one that could serve instead goes on loading, too.
        assert states[wanted.name] is LOADING or not [name for name in states if name not in {wanted.name, chosen}]
    if wanted is None:
        assert actual == []


def test_first_start_is_not_waited_for() -> None:
    assert restart_wait_s(failures=0, minimum_s=0.5, maximum_s=60) == 0


@given(failures=st.integers(1, 10_000))
def test_restarts_wait_longer_and_longer_up_to_the_limit(failures: int) -> None:
    wait = restart_wait_s(failures=failures, minimum_s=0.5, maximum_s=60)
    assert 0.5 <= wait <= 60
    assert wait <= restart_wait_s(failures=failures + 1, minimum_s=0.5, maximum_s=60)
