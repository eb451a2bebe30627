"""The agent of `isthmus dev`: in a module of its own, so that it can begin while all else is still being imported."""

import asyncio

from isthmus_agent.agent import run_agent
from isthmus_agent.settings import AgentSettings

from isthmus_dev.broker import Broker
from isthmus_dev.part import Part
from isthmus_dev.settings import AGENT, DEPLOYMENT, DevSettings


def begin_agent(group: asyncio.TaskGroup, settings: DevSettings, *, broker: Broker) -> Part:
    """Begin the agent: it imports what it served last, whether the broker is there yet or not."""
    own = AgentSettings.model_validate(
        {
            "name": AGENT,
            "deployment": DEPLOYMENT,
            "broker_url": broker.url,
            "data_dir": settings.folder.agent_dir,
            "stops_servers_on_exit": True,
            # The terminal's own environment, as with `dagster dev`; what is ours in it stays out all the same.
            "passed_env": "*",
            "lent_paths": settings.lent,
            # The data folder is ours alone, and the agent's name with it.
            "is_alone": True,
        },
    )
    return Part.begin(
        group,
        lambda stop, started: run_agent(own, stop=stop, started=started),
        name="agent",
        log_file=str(settings.folder.log_file),
    )
