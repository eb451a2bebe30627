"""An agent that is told to stop does so, whatever it is waiting for."""

import asyncio
from pathlib import Path

import pytest
from integration.agent_stand import agent_stand
from isthmus_agent.agent import run_agent
from support.eventually import eventually, patiently
from support.faulty_engine import FaultyEngine

pytestmark = pytest.mark.timeout(120)


async def test_an_agent_stops_while_its_engine_says_nothing(broker_url: str, short_path: Path) -> None:
    socket = short_path / "engine.sock"
    async with agent_stand(url=broker_url, folder=short_path) as stand, FaultyEngine.at(socket) as engine:
        engine.fault = lambda kind, _path: "hang" if kind == "GET containers/json" else None
        settings = stand.settings(host="docker", docker_url=f"unix://{socket}")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            living = tasks.create_task(run_agent(settings, stop=stop))
            await eventually(lambda: engine.faults, within=30)
            stop.set()
            async with patiently(10):
                await asyncio.wait((living,))
