"""When sensors are due: by their interval, by what they look at, and by nothing else."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from isthmus_control_plane.automation.watchlist import Watchlist, position
from isthmus_control_plane.validation.definition import AUTOMATION, Sensor, Watch
from isthmus_store.asset_wipes import WIPED
from isthmus_store.event_index import News
from isthmus_store.record.automation import Instigator
from isthmus_store.state import InstigatorKind

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
RUNS = Watch("run_failed", is_all=True)
ORDERS = Watch("asset_materialized", frozenset({("orders",)}), is_all=True)
CURSOR = '{"__class__": "RunStatusSensorCursor", "record_id": 7, "update_timestamp": null}'


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def instigator(number: int = 1, **fields: Any) -> Instigator:
    known: dict[str, Any] = {
        "deployment": "default",
        "location": "sales",
        "kind": InstigatorKind.SENSOR,
        "name": f"sensor-{number}",
        "decided": None,
        "decided_by": "",
        "decided_at": None,
        "definition": "sensor",
        "since": NOON,
        "is_running": True,
        "last_tick_at": None,
        "cursor": "",
        "last_run_key": "",
        "gone_at": None,
    }
    return Instigator(id=number, **known | fields)


def sensor(kind: str = "standard", *, interval_s: float = 10, watch: Watch | None = None) -> Sensor:
    return Sensor("sensor-1", kind, interval_s, (), is_running_by_default=True, watch=watch)


def news(kind: str, asset: str = "", *, number: int = 1, deployment: str = "default") -> News:
    return News(id=number, deployment=deployment, kind=kind, asset=asset)


def watchlist(*known: tuple[Instigator, Sensor]) -> Watchlist:
    found = Watchlist()
    found.replace(known)
    return found


def due(found: Watchlist, at: datetime, *, busy: tuple[int, ...] = ()) -> list[int]:
    return [entry.instigator.id for entry in found.due(at, busy=busy)]


def test_a_sensor_is_due_when_it_is_started_and_an_interval_after_each_tick() -> None:
    found = watchlist((instigator(), sensor()))
    assert due(found, after(0.1)) == [1]
    found.begun(1, at=after(10))
    assert (due(found, after(19.9)), due(found, after(20))) == ([], [1])
    assert found.next_at(after(11), busy=()) == after(20)


@pytest.mark.parametrize(
    ("said", "interval_s"), [(0, 30), (-1, 30), (math.nan, 30), (1e300, 366 * 86_400), (math.inf, 366 * 86_400)]
)
def test_an_interval_that_is_no_time_holds_up_nobody(said: float, interval_s: float) -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor(interval_s=said)))
    assert found.next_at(NOON, busy=()) == after(interval_s)


@pytest.mark.parametrize(
    ("kind", "watch", "cursor"),
    [
        ("asset", ORDERS, "9" * 5_000),
        ("asset", ORDERS, "9" * 19),
        ("asset", ORDERS, "-1"),
        ("run_status", RUNS, f'{{"record_id": {"9" * 30}}}'),
        ("run_status", RUNS, f'{{"record_id": {"9" * 5_000}}}'),
        ("run_status", RUNS, "[" * 100_000),
    ],
)
def test_a_cursor_that_is_no_event_stands_nowhere(kind: str, watch: Watch, cursor: str) -> None:
    assert position(sensor(kind, watch=watch), cursor) is None


def test_a_sensor_that_is_started_again_is_due_an_interval_after_its_last_tick() -> None:
    found = watchlist((instigator(since=after(8), last_tick_at=NOON), sensor()))
    assert (due(found, after(9.9)), due(found, after(10))) == ([], [1])


def test_without_an_interval_of_its_own_a_sensor_has_that_of_dagster() -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor(interval_s=0)))
    assert found.next_at(NOON, busy=()) == after(30)


def test_a_sensor_that_is_busy_or_rests_is_not_due() -> None:
    found = watchlist((instigator(), sensor()), (instigator(2, is_running=False), sensor()))
    assert due(found, after(60), busy=(1,)) == []
    assert found.next_at(after(60), busy=(1,)) is None


AROUND = Watch("asset_materialized", frozenset({("orders",), ("raw",)}), more_kinds=("asset_check_evaluated",))


@pytest.mark.parametrize("kind", ["asset_materialized", "asset_check_evaluated"])
def test_what_decides_by_conditions_is_woken_by_what_tells_of_its_assets(kind: str) -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor("automation", watch=AROUND)))
    found.tell([news(kind, '["elsewhere"]')])
    assert due(found, after(1)) == []
    found.tell([news(kind, '["raw"]')])
    assert due(found, after(1)) == [1]


@pytest.mark.parametrize(("took_s", "woken_after_s"), [(0.0, 0.0), (0.1, 0.5), (1.0, 5.0), (60.0, 10.0)])
def test_an_evaluation_that_took_long_rests_before_events_wake_it_again(took_s: float, woken_after_s: float) -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor("automation", watch=AROUND)))
    found.took(1, took_s)
    found.tell([news("asset_materialized", '["raw"]')])
    assert found.next_at(after(0.05), busy=()) == after(woken_after_s)


def test_other_sensors_do_not_rest() -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor("asset", watch=ORDERS)))
    found.took(1, 60.0)
    found.tell([news("asset_materialized", '["orders"]')])
    assert due(found, after(0)) == [1]


def test_a_clock_that_was_set_back_puts_nothing_off_by_more_than_the_interval() -> None:
    found = watchlist((instigator(last_tick_at=after(120)), sensor()))
    assert found.next_at(NOON, busy=()) == after(10)


@pytest.mark.parametrize(
    ("watch", "told", "is_due"),
    [
        (ORDERS, news("asset_materialized", '["orders"]'), True),
        (ORDERS, news("asset_materialized", '["others"]'), False),
        (ORDERS, news("asset_observed", '["orders"]'), False),
        (ORDERS, news("asset_materialized", '["orders"]', deployment="staging"), False),
        (RUNS, news("run_failed"), True),
        (RUNS, news("run_succeeded"), False),
        (None, news("run_failed"), False),
    ],
)
def test_an_event_wakes_those_who_look_at_it(watch: Watch | None, told: News, *, is_due: bool) -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor(interval_s=3600, watch=watch)))
    found.tell([told])
    assert (due(found, after(1)) == [1]) is is_due
    found.begun(1, at=after(1))
    assert due(found, after(2)) == []


def test_a_sensor_that_moved_on_goes_on_while_it_looks_at_few_of_many() -> None:
    asset = sensor("asset", interval_s=3600, watch=ORDERS)
    several = sensor("multi_asset", interval_s=3600, watch=Watch("asset_materialized", frozenset({("orders",)})))
    found = watchlist((instigator(last_tick_at=NOON), asset), (instigator(2, last_tick_at=NOON), several))
    found.moved(1, cursor="12")
    found.moved(2, cursor="12")
    assert due(found, after(1)) == [1]
    found.looked(1, at=after(1))
    assert due(found, after(2)) == []
    assert found.next_at(after(2), busy=(2,)) == after(3601)


def test_a_run_status_sensor_begins_to_look_when_it_is_started() -> None:
    found = watchlist((instigator(), sensor("run_status", interval_s=3600, watch=RUNS)))
    assert due(found, NOON) == [1]
    found.begun(1, at=NOON + timedelta(microseconds=1))
    assert due(found, after(1)) == []


def test_what_is_known_of_a_sensor_outlives_a_deploy() -> None:
    found = watchlist((instigator(last_tick_at=NOON), sensor(interval_s=3600, watch=RUNS)))
    found.tell([news("run_failed")])
    found.replace([(instigator(last_tick_at=NOON), sensor(interval_s=60, watch=RUNS))])
    assert due(found, after(1)) == [1]


@pytest.mark.parametrize(
    ("kind", "watch", "cursor", "expected"),
    [
        ("asset", ORDERS, "12", 12),
        ("asset", ORDERS, "", None),
        ("asset", ORDERS, "twelve", None),
        ("run_status", RUNS, CURSOR, 7),
        ("run_status", RUNS, CURSOR.replace("7", "-1"), -1),
        ("run_status", RUNS, "[7]", None),
        ("run_status", RUNS, '{"record_id": true}', None),
        ("run_status", RUNS, "", None),
        ("multi_asset", Watch("asset_materialized", frozenset({("orders",)})), "12", None),
        ("standard", None, "12", None),
    ],
)
def test_where_a_cursor_stands_is_known_of_dagsters_own(
    kind: str, watch: Watch | None, cursor: str, expected: int | None
) -> None:
    assert position(sensor(kind, watch=watch), cursor) == expected


def test_a_wipe_wakes_automation_of_its_deployment_and_nobody_else() -> None:
    automatic = sensor(AUTOMATION, interval_s=30, watch=Watch("asset_materialized", frozenset({("orders",)})))
    last = {"last_tick_at": after(1)}
    found = watchlist(
        (instigator(1, **last), automatic), (instigator(2, **last), sensor("asset", interval_s=30, watch=ORDERS))
    )
    found.tell([news(WIPED, deployment="other")])
    assert due(found, after(2)) == []
    found.tell([news(WIPED)])
    assert due(found, after(2)) == [1]
