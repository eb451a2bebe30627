"""What alert policies take in and tell, on both databases: each fact once, a storm as few messages."""

import json
from collections.abc import AsyncIterator

import pytest
from integration.alert_world import World, opened, policy, texts
from isthmus.v1 import control_plane_pb2 as api
from isthmus_control_plane import clock
from isthmus_store import alerts
from isthmus_store.state import AgentState


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with opened(database_url) as world:
        yield world


async def test_a_failure_is_told_once_whoever_looks_and_however_often(world: World) -> None:
    await world.sync(policy(), policy(name="other", jobs=["weekly"]))
    run_id = await world.failed()
    await world.look()
    await world.successor()
    await world.look(after_s=1)
    await world.look(after_s=9)
    await world.successor()
    await world.look(after_s=600)
    (told,) = await world.told()
    said = json.loads(told.payload)
    assert (said["type"], said["title"], said["action"], said["count"]) == (
        "run.failed", "Job nightly of etl failed", "trigger", 1,
    )  # fmt: skip
    assert said["data"]["run_id"] == run_id


async def test_what_happened_before_the_first_policy_is_no_news(world: World) -> None:
    await world.failed()
    await world.sync(policy())
    await world.look()
    await world.look(after_s=60)
    assert await world.told() == []


async def test_a_storm_of_a_thousand_failures_is_at_most_five_messages(world: World) -> None:
    await world.sync(policy())
    for _ in range(4):
        await world.storm(250)
        await world.look(after_s=6)
    for _ in range(4):
        await world.look(after_s=300)
    told = await world.told()
    assert len(told) <= 5
    assert sum(it.facts for it in told) == 1_000


async def test_a_job_that_succeeds_again_ends_what_was_told_of_its_failure(world: World) -> None:
    await world.sync(policy(recovery=True), policy(name="quietly"))
    await world.failed()
    await world.look()
    await world.look(after_s=10)
    await world.succeeded()
    await world.succeeded()
    await world.look()
    await world.look(after_s=10)
    told = [it for it in await world.told() if it.policy == "p"]
    assert [json.loads(it.payload)["action"] for it in told] == ["trigger", "resolve"]
    assert len({it.dedup for it in told}) == 1
    assert len(await world.told()) == 3


async def test_what_lasts_is_told_at_its_begin_again_after_a_while_and_at_its_end(world: World) -> None:
    await world.sync(policy(on=["agent.lost"], renotify_s=3600, wait_s=0))
    await world.set_agent(AgentState.LOST)
    # Each look is a control plane's first: none waits for its next round.
    for after_s in (0, 60, 3600, 60):
        await world.successor()
        await world.look(after_s=after_s)
    await world.set_agent(AgentState.ONLINE)
    await world.successor()
    await world.look(after_s=1)
    await world.look(after_s=1)
    assert texts(await world.told()) == [
        ("Agent lab is lost", 1),
        ("Agent lab is lost", 1),
        ("Over: agent.lost of lab", 1),
    ]


async def test_a_run_that_takes_long_is_told_once(world: World) -> None:
    await world.sync(policy(on=["run.long"], longer_than_s=600, wait_s=0))
    await world.begun()
    for after_s in (300, 301, 60, 60):
        await world.successor()
        await world.look(after_s=after_s)
    assert texts(await world.told()) == [("Job nightly of etl runs for long", 1)]


async def test_quiet_hours_keep_messages_until_they_are_over_and_a_mute_for_ever(world: World) -> None:
    hours = api.QuietHours(until="14:00", **{"from": "12:00"})
    await world.sync(policy(quiet=hours), policy(name="muted"))
    with clock.set_to(lambda: world.now):
        await world.plane.desk.mute(api.MuteAlertPolicyRequest(deployment="prod", name="muted", why="moving"))
    await world.failed()
    await world.look()
    await world.look(after_s=60)
    await world.failed()
    await world.look()
    await world.look(after_s=60)
    assert {it.policy for it in await world.told()} == {"muted"}
    async with world.database.read() as tx:
        assert await alerts.next_due_at(tx) is None
    await world.look(after_s=2 * 3600)
    (told,) = [it for it in await world.told() if it.policy == "p"]
    assert texts([told]) == [("Job nightly of etl failed (2 times)", 2)]
