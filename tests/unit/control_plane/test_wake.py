"""Who is woken by what."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from isthmus_broker.notices import Notice
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.wake import Wake, WakeHub
from support.eventually import patiently

if TYPE_CHECKING:
    from collections.abc import Callable

SALES = LocationKey("default", "sales")


async def is_rung(wake: Wake) -> bool:
    """Whether the wait ends by a ring rather than by its time."""
    try:
        async with asyncio.timeout(0.05):
            await wake.wait(at_most_s=60)
    except TimeoutError:
        return False
    return True


async def test_a_ring_that_nobody_waited_for_ends_the_next_wait_alone() -> None:
    wake = Wake()
    wake.ring()
    wake.ring()
    assert await is_rung(wake)
    assert not await is_rung(wake)


async def test_a_wait_ends_after_its_time() -> None:
    async with patiently(5):
        await Wake().wait(at_most_s=0.01)


async def test_a_notice_wakes_whom_it_concerns() -> None:
    hub = WakeHub()
    with hub.run("r1") as first, hub.run("r1") as second, hub.run("r2") as other, hub.location(SALES) as sales:
        hub.on_notice(Notice(runs=frozenset({"r1", "unwatched"})))
        assert [await is_rung(wake) for wake in (first, second, other, sales, hub.queue)] == [
            True,
            True,
            False,
            False,
            False,
        ]
        hub.on_notice(Notice(locations=frozenset({"default/sales"})))
        assert [await is_rung(wake) for wake in (first, sales, hub.queue)] == [False, True, True]
        hub.on_notice(Notice(agents=frozenset({"default/alpha"})))
        assert [await is_rung(wake) for wake in (sales, hub.queue)] == [False, True]


async def test_a_run_that_moves_on_wakes_the_queue_only_while_it_waits_for_that() -> None:
    hub = WakeHub()
    news = Notice(runs=frozenset({"r1"}))
    hub.on_notice(news)
    assert not await is_rung(hub.queue)
    hub.heeds_acceptance = True
    for _ in range(3):
        hub.on_notice(news)
    async with patiently(5):
        await hub.queue.wait(at_most_s=60)
    # Once for all three.
    assert not await is_rung(hub.queue)


async def test_events_wake_sensors_only_while_some_look_at_events() -> None:
    hub = WakeHub()
    news = Notice(runs=frozenset({"r1"}))
    ways: list[Callable[[], None]] = [partial(hub.on_notice, news), partial(hub.run_changed, "r1"), hub.events_came]
    for tell in ways:
        hub.heeds_events = False
        tell()
        assert not await is_rung(hub.sensors)
        hub.heeds_events = True
        tell()
        assert await is_rung(hub.sensors)


async def test_a_gap_in_hearing_wakes_everybody() -> None:
    hub = WakeHub()
    with hub.run("r1") as run, hub.location(SALES) as sales:
        hub.on_notice(Notice())
        assert all([await is_rung(wake) for wake in (run, sales, hub.queue, hub.outbox, hub.timeouts)])


async def test_who_left_is_forgotten() -> None:
    hub = WakeHub()
    with hub.run("r1") as wake:
        pass
    hub.run_changed("r1")
    assert not await is_rung(wake)


async def test_closing_wakes_watchers_for_good() -> None:
    hub = WakeHub()
    with hub.run("r1") as run:
        hub.close()
        assert hub.is_closed
        assert await is_rung(run)
