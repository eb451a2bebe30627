"""The command isthmus-monitor as a process of its own."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from integration.monitor.world import OWN_QUEUE, World, life
from isthmus_store.state import RunState
from support.eventually import eventually, patiently

COMMAND = (sys.executable, "-m", "isthmus_monitor.main")


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    return {**clean, **variables}


async def start(world: World) -> asyncio.subprocess.Process:
    variables = environment(ISTHMUS_BROKER_URL=world.broker.url, ISTHMUS_DATABASE_URL=world.database_url)
    return await asyncio.create_subprocess_exec(*COMMAND, env=variables, stdout=asyncio.subprocess.DEVNULL)


async def test_it_works_until_it_is_told_to_stop(world: World) -> None:
    run = await world.dispatched()
    process = await start(world)
    await world.publish(*life(run))
    await eventually(world.until_state(run, RunState.SUCCEEDED), within=20)
    process.send_signal(signal.SIGTERM)
    async with patiently(10):
        assert await process.wait() == 0


async def test_killed_in_the_middle_it_loses_and_doubles_nothing(world: World) -> None:
    run = await world.dispatched()
    course = life(run, steps=3_000)
    portions = [course[first : first + 50] for first in range(0, len(course), 50)]
    process = await start(world)
    for number, portion in enumerate(portions):
        await world.publish(*portion)
        if number % 20 == 10:
            process.kill()
            await process.wait()
            process = await start(world)
    await eventually(world.until_state(run, RunState.SUCCEEDED), within=30)
    process.terminate()
    await process.wait()
    stored = await world.history(run)
    assert [event.seq for event in stored] == list(range(1, 501))
    assert (await world.run(run)).last_position == len(course)
    assert await world.waiting(OWN_QUEUE) == 0


async def test_without_settings_it_says_what_is_missing(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(*COMMAND, env=environment(), stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert "ISTHMUS_BROKER_URL is not set" in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_with_a_database_it_does_not_speak_it_says_which_it_does(world: World) -> None:
    variables = environment(ISTHMUS_BROKER_URL=world.broker.url, ISTHMUS_DATABASE_URL="mysql://host/db")
    process = await asyncio.create_subprocess_exec(*COMMAND, env=variables, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert "Use sqlite:///path" in errors.decode()
    assert "Traceback" not in errors.decode()
