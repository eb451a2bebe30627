"""A pool of dedicated servers on a host of processes, without broker and launches: limits, failures, order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import pytest
from isthmus_agent.dedicated.pool import DedicatedPool
from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.errors import DedicatedServerLostError, LocationUnavailableError
from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import Server, ServerSpec
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.policy.verdict import Allowed
from isthmus_agent.run_key import RunKey
from isthmus_agent.servers.launcher import ServerLauncher
from isthmus_agent.servers.wanted import KeeperTiming, WantedLocation
from support.eventually import eventually

pytestmark = pytest.mark.timeout(120)

#: Nobody listens here: nothing is said, as no run is started.
NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"
PROJECT = """
import os
from dagster import Definitions
if os.environ.get("LEAVES"):
    os.write(2, b"this is the end\\n")
    # The server itself: it starts what starts the process that imports.
    with open(f"/proc/{os.getppid()}/stat") as stat:
        os.kill(int(stat.read().rpartition(")")[2].split()[1]), 9)
defs = Definitions()
"""
LIMITS = Limits(memory_bytes=10**9)
A, B, C = RunKey("a", 1), RunKey("b", 1), RunKey("c", 1)


class _Over(Exception):  # noqa: N818 (ends the task group, as the end of an agent does)
    """The test is over."""


class LimitingHost(ProcessHost):
    """A host of processes that says that it can change what a server may use."""

    can_limit = True

    async def set_limits(self, server: Server, limits: Limits) -> bool:
        del server, limits
        return self.can_limit


@dataclass
class Stand:
    host: LimitingHost
    pool: DedicatedPool
    wanted: WantedLocation
    ready: list[str] = field(default_factory=list)

    def serve(self, *, standby: int, **env: str) -> None:
        spec = replace(self.wanted.spec, env=env)
        self.pool.serve(replace(self.wanted, spec=spec, standby=standby), is_open=True)

    async def standing_by(self, count: int) -> None:
        await eventually(lambda: self.pool.state.ready == count, within=60)

    async def take(self, key: RunKey, *, limits: Limits | None = None, is_kept: bool = True) -> str:
        async with self.pool.lease(key, limits=limits or Limits(), within_s=60) as lease:
            lease.is_kept = is_kept
            return lease.held.name


@asynccontextmanager
async def pooling(folder: Path) -> AsyncIterator[Stand]:
    (folder / "project.py").write_text(PROJECT)
    source = CodeSource(TargetKind.PYTHON_FILE, str(folder / "project.py"), working_directory=str(folder))
    spec = ServerSpec("test", "edge", "sales", 1, source, folder / "runs", NO_BROKER)
    wanted = WantedLocation(spec, Allowed(), "", 60.0)
    host = LimitingHost(servers_dir=folder / "servers", runtime_dir=folder / "run", deployment="test", agent="edge")
    async with host:
        try:
            async with asyncio.TaskGroup() as tasks:
                timing = KeeperTiming(surplus_kept_s=0.1)
                launcher = ServerLauncher("sales", host=host, tasks=tasks, timing=timing, on_attached=lambda _: None)
                pool = DedicatedPool(launcher, on_empty=lambda: None)
                tasks.create_task(_watch(host, pool))
                yield Stand(host, pool, wanted)
                pool.serve(None, is_open=False)
                for server in await host.list():
                    await host.stop(server, grace_s=0)
                await eventually(lambda: pool.is_empty, within=10)
                _end()
        except* _Over:
            pass
        finally:
            for server in await host.list():
                await host.stop(server, grace_s=0)


def _end() -> NoReturn:
    raise _Over


async def _watch(host: ProcessHost, pool: DedicatedPool) -> None:
    async for ending in host.watch():
        pool.servers.note_exit(ending, output=await host.tail(ending.server, max_bytes=4000))


async def test_a_standby_gets_a_runs_limits_and_serves_no_other_run(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.serve(standby=1)
        await it.standing_by(1)
        (standby,) = (one.name for one in it.pool.servers)
        assert await it.take(A, limits=LIMITS, is_kept=False) == standby
        # The run was refused: its server is not as the others are any more, and goes.
        await eventually(lambda: standby not in {one.name for one in it.pool.servers}, within=20)
        await it.standing_by(1)


async def test_limits_that_cannot_be_changed_are_had_by_a_server_of_its_own(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.host.can_limit = False
        it.serve(standby=1)
        await it.standing_by(1)
        (standby,) = (one.name for one in it.pool.servers)
        own = await it.take(A, limits=LIMITS)
        assert own != standby
        assert await it.take(B) == standby


async def test_a_server_that_was_not_kept_is_given_again(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.serve(standby=1)
        await it.standing_by(1)
        assert await it.take(A, is_kept=False) == await it.take(B)


async def test_launches_that_come_at_once_get_a_server_each(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.serve(standby=1)
        async with asyncio.TaskGroup() as takers:
            taken = [takers.create_task(it.take(key)) for key in (A, B, C)]
        # One of them the standby, which was still loading, and two started for their launches.
        assert len({one.result() for one in taken}) == 3


async def test_a_wait_that_is_given_up_leaves_a_server_for_the_next(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.serve(standby=0)
        with pytest.raises(LocationUnavailableError, match="no code server of its own"):
            async with it.pool.lease(A, limits=Limits(), within_s=0.01):
                pytest.fail("there was a server")
        # Started for the first, and too many after it for a moment only.
        (one,) = it.pool.servers
        assert await it.take(B) == one.name


async def test_a_server_that_dies_while_it_loads_fails_its_launch_with_its_last_words(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.serve(standby=0, LEAVES="yes")
        with pytest.raises(DedicatedServerLostError, match="was killed by signal 9") as caught:
            await it.take(A)
        assert "this is the end\n" in caught.value.stack
        await eventually(lambda: it.pool.is_empty, within=20)


async def test_a_server_that_cannot_be_started_fails_its_launch(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        source = replace(it.wanted.spec.source, python_executable="/nowhere/python")
        it.wanted = replace(it.wanted, spec=replace(it.wanted.spec, source=source))
        it.serve(standby=0)
        with pytest.raises(ServerStartError, match="/nowhere/python"):
            await it.take(A)
        await eventually(lambda: it.pool.is_empty, within=10)


async def test_a_pool_that_keeps_failing_backs_off(tmp_path: Path) -> None:
    async with pooling(tmp_path) as it:
        it.serve(standby=2, LEAVES="yes")
        await eventually(lambda: len(list(it.pool.servers)) == 1, within=10)
        await eventually(lambda: it.pool.is_empty, within=30)
        # The next start is seconds away.
        assert it.pool.state.ready == 0
        it.serve(standby=1)
        await it.standing_by(1)
