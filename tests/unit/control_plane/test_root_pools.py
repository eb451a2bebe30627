"""Which pools a run begins with, and when it would only wait for them: then it stays in the queue."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings
from isthmus.v1.instruction_pb2 import AssetCheckRef, RunRequest
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot, JobSnapshot, LocationSnapshot, OpSnapshot
from isthmus_control_plane.dispatching.block import PauseKey, View, blocks, is_free, room_of, take
from isthmus_control_plane.dispatching.ledger import Ledger
from isthmus_control_plane.dispatching.pools import root_pools_of
from isthmus_control_plane.dispatching.rules import Rules, Slot
from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding, Location
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_control_plane.validation.definition import Definitions
from isthmus_store.queue_line import Needs, line_name
from isthmus_store.record.queue import ClaimingLine, Held, Pause, PauseKind, PoolUse
from isthmus_store.state import AgentState

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ETL, ALPHA = LocationKey("prod", "etl"), AgentKey("prod", "alpha")
FLEET = Fleet.of(
    [Agent(ALPHA, "default", AgentState.ONLINE)],
    locations=[Location(ETL, "default", 1)],
    holdings=[Holding(ETL, ALPHA, 1, 1)],
)


def key(name: str) -> AssetKey:
    return AssetKey(path=[name])


#: raw (db) → clean (gpu, in a graph whose first op is in no pool); alone (db).
DEFINED = Definitions.of(
    LocationSnapshot(
        jobs=[
            JobSnapshot(
                name="assets",
                is_implicit_asset_job=True,
                assets=[key("raw"), key("clean"), key("alone")],
                pools=["db", "gpu"],
                ops=[
                    OpSnapshot(name="raw", pool="db"),
                    OpSnapshot(name="clean.read", upstream=["raw"]),
                    OpSnapshot(name="clean.train", upstream=["clean.read"], pool="gpu"),
                    OpSnapshot(name="cleaner", pool="gpu"),
                ],
            ),
            JobSnapshot(
                name="both",
                pools=["db", "gpu"],
                ops=[
                    OpSnapshot(name="a", pool="gpu"),
                    OpSnapshot(name="b", pool="db"),
                    OpSnapshot(name="c", upstream=["a"]),
                ],
            ),
            JobSnapshot(name="half", pools=["db"], ops=[OpSnapshot(name="a", pool="db"), OpSnapshot(name="b")]),
            JobSnapshot(name="plain", ops=[OpSnapshot(name="a")]),
        ],
        assets=[
            AssetSnapshot(key=key("raw"), op_name="raw", is_executable=True),
            AssetSnapshot(key=key("clean"), op_name="clean", is_executable=True, deps=[key("raw")]),
            AssetSnapshot(key=key("alone"), op_name="cleaner", is_executable=True),
        ],
    )
)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (RunRequest(job_name="both"), ("db", "gpu")),
        (RunRequest(job_name="half"), ()),
        (RunRequest(job_name="plain"), ()),
        (RunRequest(job_name="gone"), ()),
        # Only the code server can tell what these begin with.
        (RunRequest(job_name="both", op_selection=["a+"]), ()),
        (RunRequest(job_name="both", step_keys=["c"]), ()),
        (RunRequest(check_selection=[AssetCheckRef(asset=key("raw"), check_name="x")]), ()),
        (RunRequest(asset_selection=[key("raw")]), ("db",)),
        (RunRequest(asset_selection=[key("raw"), key("clean")]), ("db",)),
        (RunRequest(asset_selection=[key("raw"), key("alone")]), ("db", "gpu")),
        # What is before it is not executed, and its own first op is in no pool.
        (RunRequest(asset_selection=[key("clean")]), ()),
    ],
)
def test_a_run_begins_with_the_steps_that_nothing_of_it_is_before(
    request_: RunRequest, expected: tuple[str, ...]
) -> None:
    assert root_pools_of(request_, definitions=DEFINED) == expected


def rules(*, run_buffer: int = 0, granularity: int = PoolLimits.GRANULARITY_OP, **limits: int) -> Rules:
    pools = PoolLimits(limits=limits, granularity=granularity, run_buffer=run_buffer)  # type: ignore[arg-type]  # its number
    return Rules.of(QueueSettings(pools=pools))


def needs(*root_pools: str) -> Needs:
    return Needs(ETL, pools=root_pools, root_pools=root_pools)


def view(limits: Rules, *, taken: dict[str, int] | None = None, awaited: dict[str, int] | None = None) -> View:
    def counted(of: dict[str, int] | None) -> Counter[Slot]:
        return Counter({Slot("prod", "pool", pool): count for pool, count in (of or {}).items()})

    return View(FLEET, {"prod": limits}, taken=counted(taken), awaited=counted(awaited))


@pytest.mark.parametrize(
    ("seen", "of", "expected"),
    [
        (view(rules(db=1)), needs("db"), []),
        (view(rules(db=1), taken={"db": 1}), needs("db"), ["pool db is full: 1 of 1 slots are taken"]),
        (
            view(rules(db=2), taken={"db": 1}, awaited={"db": 1}),
            needs("db"),
            ["pool db is full: 1 of 2 slots are taken, and 1 step waits for one"],
        ),
        # One of the two that it begins with could have its slot.
        (view(rules(db=1, gpu=1), taken={"db": 1}), needs("db", "gpu"), []),
        (view(rules(db=1), taken={"db": 1}), needs("db", "gpu"), []),
        (
            view(rules(db=1, gpu=0), taken={"db": 1}),
            needs("db", "gpu"),
            ["pool db is full: 1 of 1 slots are taken", "pool gpu is full: 0 of 0 slots are taken"],
        ),
        # It begins with something that is in no pool.
        (view(rules(db=0)), Needs(ETL, pools=("db",)), []),
        (view(rules(db=1, run_buffer=2), taken={"db": 1}, awaited={"db": 1}), needs("db"), []),
        (
            view(rules(db=1, run_buffer=2), taken={"db": 1}, awaited={"db": 2}),
            needs("db"),
            ["pool db is full: 1 of 1 slots are taken, and 2 steps wait for one"],
        ),
        # Whole runs hold slots: steps wait for none.
        (view(rules(db=2, granularity=PoolLimits.GRANULARITY_RUN), awaited={"db": 9}), needs("db"), []),
    ],
)
def test_a_run_that_would_only_wait_is_held_back(seen: View, of: Needs, expected: list[str]) -> None:
    assert [it.text for it in blocks(of, seen)] == expected
    assert is_free(of, seen) is not bool(expected)
    assert bool(room_of(of, seen, most=25)) is not bool(expected)


def test_no_more_leave_than_there_are_slots_for() -> None:
    seen, of = view(rules(db=3), taken={"db": 1}), needs("db")
    assert room_of(of, seen, most=25) == 2
    for _ in range(2):
        assert is_free(of, seen)
        take(of, seen)
    assert not is_free(of, seen)
    assert is_free(Needs(ETL, pools=("db",)), seen)


def test_a_pool_that_is_paused_holds_back_whoever_begins_with_it_alone() -> None:
    pause = Pause(deployment="prod", kind=PauseKind.POOL, name="db", paused_by="ana", why="", paused_at=NOON)
    paused = {PauseKey("prod", PauseKind.POOL, "db"): pause}
    seen = View(FLEET, {"prod": rules(gpu=5)}, paused)
    assert [it.text for it in blocks(needs("db"), seen)] == ["pool db was paused by ana"]
    assert room_of(needs("db"), seen, most=25) == 0
    assert blocks(needs("db", "gpu"), seen) == []


def test_what_left_and_has_claimed_nothing_yet_counts() -> None:
    of = needs("db")
    line = line_name(of, keys=())
    books = Ledger(
        rules={"prod": rules(db=3)},
        pauses={},
        held=(Held(line=line, held=3, run_id="r"),),
        needs={line: of},
        on_the_way={},
        claiming={line: ClaimingLine(line=line, claiming=3, unclaimed=1)},
        uses=(PoolUse(deployment="prod", pool="db", granted=1, waiting=1),),
    )
    assert [it.text for it in blocks(of, books.view(FLEET))] == [
        "pool db is full: 1 of 3 slots are taken, and 2 steps wait for one"
    ]


def test_lines_that_begin_with_pools_are_told_from_those_that_do_not() -> None:
    plain = line_name(Needs(ETL, pools=("db",)), keys=())
    assert line_name(needs("db"), keys=()) != plain
