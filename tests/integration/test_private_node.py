"""A private node: its data outlives it, and it outlives nobody."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aio_pika
import pytest
from isthmus_dev.rabbitmq import process as node_process
from isthmus_dev.rabbitmq.errors import NodeBusyError, NodeCommandError, NodeNotInstalledError
from isthmus_dev.rabbitmq.layout import NodeLayout, NodeRecord
from isthmus_dev.rabbitmq.node import PrivateNode
from isthmus_dev.rabbitmq.process import ProcessIdentity
from support.eventually import eventually, patiently

_OWNER = """
import asyncio, sys
from pathlib import Path
from isthmus_dev.rabbitmq.node import PrivateNode

async def main():
    async with PrivateNode.start(Path(sys.argv[1])):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def _has_waiting(url: str, queue: str) -> bool:
    # What a passive declare says of the number of messages is wrong for a while after a restart, so take one.
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return await declared.get(fail=False) is not None


def _is_registered(data_dir: Path, queue: str) -> bool:
    # RabbitMQ writes the list of its quorum queues some 0.5 s after a queue was made; killed before, it loses the queue.
    return any(queue.encode() in path.read_bytes() for path in data_dir.glob("mnesia/*/quorum/*/names.dets"))


async def _leave_message(url: str, queue: str, *, data_dir: Path) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        await eventually(lambda: _is_registered(data_dir, queue), within=10)
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue)


@pytest.mark.timeout(120)
async def test_node_keeps_confirmed_messages_over_a_kill_and_over_a_new_start(tmp_path: Path) -> None:
    async with PrivateNode.start(tmp_path / "node") as node:
        applications = {path.name.rpartition("-")[0] for path in NodeLayout.at(tmp_path / "node").plugins.iterdir()}
        assert {"rabbit", "rabbitmq_consistent_hash_exchange"} <= applications, "it does not read what it does not need"
        assert "rabbitmq_management" not in applications
        variables = Path(f"/proc/{node.pid}/environ").read_bytes().split(b"\0")
        assert f"ERL_LIBS={tmp_path}/node/installation/plugins".encode() in variables, "nor looks for modules there"
        await _leave_message(node.url, "kept", data_dir=tmp_path / "node")
        await node.kill()
        assert node.pid == 0
        await node.restart()
        await eventually(lambda: _has_waiting(node.url, "kept"), within=20)
        with pytest.raises(NodeBusyError):
            async with PrivateNode.start(tmp_path / "node"):
                pass
    async with PrivateNode.start(tmp_path / "node", is_throwaway=True) as node:
        await eventually(lambda: _has_waiting(node.url, "kept"), within=20)


@pytest.mark.timeout(120)
async def test_node_ends_with_its_owner_however_that_ends(tmp_path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _OWNER, str(tmp_path / "node"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    async for line in owner.stdout:  # the log comes first
        if line == b"up\n":
            break
    record = NodeRecord.read(NodeLayout.at(tmp_path / "node").record)
    assert record is not None
    assert record.server is not None
    assert record.epmd is not None
    owner.kill()
    await owner.wait()
    async with patiently(20):
        await node_process.wait_gone(record.server.pid)
        await node_process.wait_gone(record.epmd.pid)


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"])


@pytest.mark.timeout(120)
async def test_start_stops_what_a_dead_owner_left_behind_and_keeps_the_account(tmp_path: Path) -> None:
    left_behind = _sleeper()
    before = NodeRecord.fresh()
    layout = NodeLayout.at(tmp_path / "node")
    layout.data_dir.mkdir()
    layout.write(replace(before, server=ProcessIdentity.of(left_behind.pid)))
    async with PrivateNode.start(tmp_path / "node", is_throwaway=True) as node:
        assert left_behind.wait(timeout=5) != 0
        assert before.password in node.url
        assert await node.control("list_vhosts", "name") == "name\n/"
        with pytest.raises(NodeCommandError, match="no_such_command"):
            await node.control("no_such_command")


def test_a_process_number_that_was_given_anew_is_another_process() -> None:
    process = _sleeper()
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    assert identity.is_alive
    assert not replace(identity, started=identity.started - 1).is_alive
    process.kill()
    process.wait()
    assert not identity.is_alive


async def test_missing_server_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeNotInstalledError, match=r"apt-get install rabbitmq-server.*ISTHMUS_BROKER_URL"):
        async with PrivateNode.start(tmp_path / "node"):
            pass
