"""A real agent with two accounts at the broker, each with the rights that docs/agent.md names and no other."""

import re
import secrets
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import AGENT_STATE_ONLINE, RUN_STATE_CANCELED, RUN_STATE_SUCCEEDED
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LogStream
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import AGENT, Operator, running_system
from yarl import URL

pytestmark = pytest.mark.timeout(180)

DOCUMENT = Path(__file__).parents[2] / "docs" / "agent.md"


def rights(account: str) -> list[str]:
    """What the document gives an account: configure, write, read, and the routing keys under which it may write."""
    (row,) = re.findall(rf"^\| `{account}` \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    named = re.findall(r"`(\^[^`]*)`", row.replace(r"\|", "|"))
    return [word.replace("prod", "default").replace("lab", AGENT) for word in named]


async def account(rabbitmq: Rabbit, broker_url: str, name: str) -> str:
    """Make an account with the rights of the document's; returns the broker's address with it."""
    configure, write, read, topics = rights(name)
    url, user, password = URL(broker_url), f"{name}-{secrets.token_hex(4)}", secrets.token_urlsafe(9)
    vhost = ("--vhost", url.path[1:])
    await rabbitmq.node.control("add_user", user, stdin=password)
    await rabbitmq.node.control("set_permissions", *vhost, user, configure, write, read)
    exchanges = ["isthmus.telemetry", "isthmus.answers"] if name == "agent-lab" else ["isthmus.telemetry"]
    for exchange in exchanges:
        await rabbitmq.node.control("set_topic_permissions", *vhost, user, exchange, topics, "^$")
    return str(url.with_user(user).with_password(password))


async def test_an_agent_with_two_accounts_serves_runs_ends_and_shows_them(
    rabbitmq: Rabbit, broker_url: str, tmp_path: Path, gated_source: CodeSource
) -> None:
    own, of_runs = [await account(rabbitmq, broker_url, name) for name in ("agent-lab", "runs-of-lab")]
    accounts = {"ISTHMUS_BROKER_URL": own, "ISTHMUS_AGENT_CODE_SERVER_BROKER_URL": of_runs}
    with running_system(
        broker_url=broker_url,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/isthmus.db",
        folder=tmp_path,
        agent_environment=accounts,
    ) as system:
        async with system.client() as client:
            operator = Operator(system, client)
            await client.create_agent(
                AGENT, broker_user=str(URL(own).user), code_server_broker_user=str(URL(of_runs).user)
            )

            async def is_online() -> bool:
                return (await client.get_agent(AGENT)).state == AGENT_STATE_ONLINE

            await eventually(is_online, within=30)
            await operator.apply("gated", gated_source)
            gate = tmp_path / "gate"
            gate.touch()
            config = f'{{"ops": {{"stand_at_gate": {{"config": {{"path": "{gate}"}}}}}}}}'
            run, updates = await operator.history(await operator.launch("gated", "gated", run_config_json=config))
            assert run.state == RUN_STATE_SUCCEEDED, system.report()
            said = {update.event.message for update in updates}
            assert {f"after {number}" for number in range(50)} <= said
            # What goes by the agent's own account: answers, and the end of a run.
            streams = [LogStream.LOG_STREAM_STDERR]
            assert [chunk async for chunk in client.stream_logs(run.request.run.run_id, streams=streams)]
            held = config.replace(str(gate), str(tmp_path / "closed"))
            standing = await operator.launch("gated", "gated", run_config_json=held)
            await eventually(lambda: Path(f"{tmp_path / 'closed'}.pid").exists(), within=20)
            await client.terminate_run(standing)
            ended, _ = await operator.history(standing)
            assert ended.state == RUN_STATE_CANCELED, system.report()
            # The agent is believed on its heartbeats, which its code servers' account may not send.
            assert await is_online()
