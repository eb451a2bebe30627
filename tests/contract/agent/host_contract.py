"""What every host of code servers must do; run by each host's own test module on real servers."""

import asyncio
import json
import os
import signal
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Protocol

import pytest
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import Host, Server, ServerExit, ServerSpec
from support.eventually import eventually, patiently


class HostKit(Protocol):
    """What a host's test module offers, so that one contract runs on all of them."""

    @property
    def are_children_left_behind(self) -> bool:
        """Whether what a server started outlives it for a moment."""
        ...

    @property
    def command_is_missing(self) -> tuple[ServerSpec, str]:
        """A spec of a server whose command is not there, and what is said of it."""
        ...

    def listens_at(self, server: Server) -> str:
        """The server's address as the server itself has it."""
        ...

    def open(self) -> AbstractAsyncContextManager[Host]:
        """A host as an agent makes it; a second one afterwards is the agent's next life, on the same servers."""
        ...

    def open_patient(self) -> AbstractAsyncContextManager[Host]:
        """A host that looks at a server's beginning for as long as a busy machine may take."""
        ...

    def spec(self, *, generation: int = 1, **behaviour: str) -> ServerSpec:
        """A spec of a small server that behaves so."""
        ...

    async def note(self, server: Server) -> dict[str, object]:
        """What the server wrote about itself, once it did; with pids as this process has them."""
        ...


def code_source() -> CodeSource:
    return CodeSource(TargetKind.MODULE, "definitions")


async def next_exit(host: Host) -> ServerExit:
    async with patiently(10), aclosing(host.watch()) as exits:
        return await anext(exits)


def is_alive(pid: object) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False


class HostContract:
    """Give a `kit` fixture that returns a HostKit."""

    async def test_a_started_server_has_its_configuration_and_environment(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec(GREETING="hello"))
            facts = await kit.note(server)
            config, env = facts["config"], facts["env"]
            assert isinstance(config, dict)
            assert isinstance(env, dict)
            assert config["server"] == server.name
            assert config["listen"] == kit.listens_at(server)
            assert config["source"] == {"module": "definitions"}
            assert env["GREETING"] == "hello"
            await host.stop(server, grace_s=5)

    async def test_private_settings_of_the_agent_do_not_reach_user_code(
        self, kit: HostKit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ISTHMUS_BROKER_URL", "amqp://user:secret@host/")
        monkeypatch.setenv("ISTHMUS_AGENT_NAME", "edge")
        async with kit.open() as host:
            server = await host.start(kit.spec())
            env = (await kit.note(server))["env"]
            assert isinstance(env, dict)
            assert not [name for name in env if name.startswith(("ISTHMUS_BROKER", "ISTHMUS_AGENT"))]
            await host.stop(server, grace_s=5)

    async def test_an_equal_spec_starts_nothing_twice(self, kit: HostKit) -> None:
        async with kit.open() as host:
            first = await host.start(kit.spec())
            second = await host.start(kit.spec())
            other = await host.start(kit.spec(generation=2))
            assert second == first
            assert other.name != first.name
            assert {server.name for server in await host.list()} == {first.name, other.name}
            await host.stop(first, grace_s=5)
            await host.stop(other, grace_s=5)

    async def test_servers_outlive_the_agent_and_are_found_again(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec())
            pid = (await kit.note(server))["pid"]
        assert is_alive(pid)
        async with kit.open() as host:
            assert list(await host.list()) == [server]
            assert await host.start(kit.spec()) == server
            await host.stop(server, grace_s=5)
            assert (await next_exit(host)).server == server
        assert not is_alive(pid)

    async def test_an_adopted_server_is_found_by_start_too(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec())
        async with kit.open() as host:
            assert await host.start(kit.spec()) == server
            await host.stop(server, grace_s=5)

    async def test_an_exit_is_told_with_its_code(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec(EXIT="3", SAY="no definitions here"))
            assert await next_exit(host) == ServerExit(server, exit_code=3)
            assert "no definitions here" in await host.tail(server, max_bytes=1000)
            assert not await host.list()

    async def test_an_exit_is_told_with_its_signal(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec())
            pid = (await kit.note(server))["pid"]
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
            assert await next_exit(host) == ServerExit(server, signal=signal.SIGKILL)

    async def test_nothing_of_a_server_is_left_when_its_exit_is_told(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec(CHILD="yes"))
            facts = await kit.note(server)
            pid, child = facts["pid"], facts["child"]
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
            await next_exit(host)
            assert not is_alive(child)

    async def test_what_an_unseen_death_left_behind_is_ended(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec(CHILD="yes"))
            facts = await kit.note(server)
            pid, child = facts["pid"], facts["child"]
            assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        assert is_alive(child) or not kit.are_children_left_behind
        await eventually(lambda: not is_alive(pid), within=5)
        async with kit.open() as host:
            assert not await host.list()
        assert not is_alive(child)

    async def test_a_stubborn_server_is_killed_after_its_grace(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec(STUBBORN="yes"))
            await kit.note(server)
            await host.stop(server, grace_s=0.1)
            assert await next_exit(host) == ServerExit(server, signal=signal.SIGKILL)

    async def test_stopping_twice_is_fine(self, kit: HostKit) -> None:
        async with kit.open() as host:
            server = await host.start(kit.spec())
            await kit.note(server)
            await asyncio.gather(host.stop(server, grace_s=5), host.stop(server, grace_s=5))
            await host.stop(server, grace_s=5)
            assert (await next_exit(host)).server == server

    async def test_a_name_lives_again_as_another_incarnation(self, kit: HostKit) -> None:
        async with kit.open() as host:
            first = await host.start(kit.spec())
            await kit.note(first)
            await host.stop(first, grace_s=5)
            second = await host.start(kit.spec())
            assert second.name == first.name
            assert second.incarnation != first.incarnation
            # To stop the life that is over does nothing to the one that goes on.
            await host.stop(first, grace_s=0)
            assert (await next_exit(host)).server == first
            assert list(await host.list()) == [second]
            await host.stop(second, grace_s=5)

    async def test_clearing_ends_every_server_also_of_an_earlier_life(self, kit: HostKit) -> None:
        async with kit.open() as host:
            first = await host.start(kit.spec(CHILD="yes"))
            facts = await kit.note(first)
        async with kit.open() as host:
            second = await host.start(kit.spec(generation=2))
            pid = (await kit.note(second))["pid"]
            await host.clear(grace_s=5)
            assert not await host.list()
            await host.clear(grace_s=5)
        assert not [it for it in (facts["pid"], facts["child"], pid) if is_alive(it)]

    async def test_what_cannot_be_started_says_why(self, kit: HostKit) -> None:
        spec, words = kit.command_is_missing
        async with kit.open_patient() as host:
            with pytest.raises(ServerStartError, match=words):
                await host.start(spec)
            assert not await host.list()
            # Nothing of the attempt is in the way.
            with pytest.raises(ServerStartError, match=words):
                await host.start(spec)


async def read_note(path: Path) -> dict[str, object]:
    await eventually(path.exists, within=10)
    return _take(path)


def _take(path: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads(path.read_text())
    path.unlink()
    return facts
