"""The process host keeps the contract of hosts, and some promises of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from contract.agent.host_contract import HostContract, code_source, is_alive, next_exit, read_note
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.errors import RuntimeFolderError
from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import Host, Server, ServerExit, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.hosts.process import procfs, sockets
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.hosts.process.launch import USUAL, Launching

_SMALL_SERVER = Path(__file__).with_name("small_server.py")


@dataclass
class ProcessKit:
    folder: Path
    are_children_left_behind = True

    @property
    def command_is_missing(self) -> tuple[ServerSpec, str]:
        source = CodeSource(TargetKind.MODULE, "definitions", python_executable="/nowhere/python")
        return replace(self.spec(), source=source), "/nowhere/python"

    def listens_at(self, server: Server) -> str:
        return server.address

    def open(self) -> AbstractAsyncContextManager[Host]:
        return self.host()

    def open_patient(self) -> AbstractAsyncContextManager[Host]:
        return self.host()

    def host(self, *, launching: Launching | None = None) -> ProcessHost:
        return ProcessHost(
            servers_dir=self.folder / "servers",
            runtime_dir=self.folder / "run",
            deployment="test",
            agent="edge",
            launching=launching or Launching((str(_SMALL_SERVER),), passed_env=("WANTED_*",)),
        )

    def spec(self, *, generation: int = 1, **behaviour: str) -> ServerSpec:
        return ServerSpec(
            deployment="test",
            agent="edge",
            location="sales",
            generation=generation,
            source=code_source(),
            runs_dir=self.folder / "runs",
            broker_url="amqp://guest:secret@localhost/",
            env={**behaviour, "NOTE": str(self.folder / f"note-{generation}.json")},
        )

    async def note(self, server: Server) -> dict[str, object]:
        return await read_note(self.folder / f"note-{server.generation}.json")


@pytest.fixture
def kit(tmp_path: Path) -> ProcessKit:
    return ProcessKit(tmp_path)


class TestProcessHost(HostContract):
    """The contract, on processes."""


async def test_a_missing_working_directory_is_named(kit: ProcessKit) -> None:
    source = CodeSource(TargetKind.MODULE, "definitions", working_directory="/nowhere")
    async with kit.host() as host:
        with pytest.raises(ServerStartError, match="working directory /nowhere"):
            await host.start(replace(kit.spec(), source=source))


async def test_a_reused_pid_is_not_taken_for_the_server(kit: ProcessKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        pid = (await kit.note(server))["pid"]
        record = kit.folder / "servers" / server.name / "record.json"
        facts = json.loads(record.read_text())
        assert facts["pid"] == pid
        await host.stop(server, grace_s=5)
    # As if this very process had been given the dead server's pid.
    record.write_text(json.dumps({**facts, "pid": os.getpid()}))
    async with kit.host() as host:
        assert not await host.list()
        assert not record.exists()


async def test_a_start_that_was_not_written_down_is_found_by_its_tag(kit: ProcessKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec(CHILD="yes"))
        facts = await kit.note(server)
    record = kit.folder / "servers" / server.name / "record.json"
    known = json.loads(record.read_text())
    record.write_text(json.dumps({**known, "pid": None, "start_ticks": None}))
    async with kit.host() as host:
        assert list(await host.list()) == [server]
        await host.stop(server, grace_s=5)
        await next_exit(host)
    assert not is_alive(facts["pid"])
    assert not is_alive(facts["child"])


async def test_a_damaged_record_is_left_alone(kit: ProcessKit) -> None:
    folder = kit.folder / "servers" / "sales-g1-000000000000"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    async with kit.host() as host:
        assert not await host.list()


async def test_the_configuration_is_for_this_user_alone(kit: ProcessKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        await kit.note(server)
        folder = kit.folder / "servers" / server.name
        assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (kit.folder / "run").stat().st_mode & 0o777 == 0o700
        await host.stop(server, grace_s=5)


async def test_folders_of_servers_that_ended_do_not_pile_up(kit: ProcessKit) -> None:
    async with kit.host() as host:
        for generation in range(1, 25):
            await host.start(kit.spec(generation=generation, EXIT="0"))
            await next_exit(host)
        server = await host.start(kit.spec(generation=99, EXIT="0"))
        await next_exit(host)
        assert len(list((kit.folder / "servers").iterdir())) <= 21
        assert (kit.folder / "servers" / server.name).is_dir()


async def test_a_kill_while_the_kernel_counts_one_for_memory_is_told_as_such(kit: ProcessKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        pid = (await kit.note(server))["pid"]
        assert isinstance(pid, int)
        # As if the count had grown since it was last looked at.
        host._memory_kills = -1
        os.kill(pid, signal.SIGKILL)
        assert await next_exit(host) == ServerExit(server, signal=signal.SIGKILL, is_out_of_memory=True)


async def test_a_server_appends_to_its_output_so_that_it_can_cut_it(kit: ProcessKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        pid = (await kit.note(server))["pid"]
        for fd in (1, 2):
            facts = dict(line.split(":\t") for line in Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines())
            assert int(facts["flags"], 8) & os.O_APPEND
        await host.stop(server, grace_s=5)


async def test_nothing_but_output_is_left_of_servers_that_ended(kit: ProcessKit) -> None:
    async with kit.host() as host:
        server = await host.start(kit.spec())
        await kit.note(server)
        Path(server.address.removeprefix("unix:")).touch()
        await host.stop(server, grace_s=5)
    assert not (kit.folder / "run").exists()
    assert [path.name for path in (kit.folder / "servers" / server.name).iterdir()] == ["output.log"]


def test_a_socket_folder_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFolderError, match="too long"):
        sockets.prepare_runtime_dir(tmp_path / ("x" * 100))


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(RuntimeFolderError, match="not a folder of this user"):
        sockets.prepare_runtime_dir(tmp_path / "link")


def test_default_socket_folder_is_short_enough_for_any_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder = sockets.default_runtime_dir(Path("/srv") / ("deep/" * 40))
    assert len(str(sockets.socket_path(folder, server="s" * 200))) <= sockets.MAX_SOCKET_PATH


def test_start_ticks_name_a_living_process_only() -> None:
    assert procfs.start_ticks(os.getpid()) is not None
    assert procfs.start_ticks(2**22 + 1) is None


class Vanishing:
    """Removes a folder at the n-th look at anything in it, just before the look."""

    def __init__(self, folder: Path, *, at: int) -> None:
        self._folder, self._looks_left, self._is_removing = folder, at, False
        self.is_over = False
        sys.addaudithook(self._on_event)

    @property
    def has_happened(self) -> bool:
        return self._looks_left <= 0

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if (
            self.is_over
            or self._is_removing
            or event not in {"open", "os.listdir", "os.scandir", "os.rename", "os.remove"}
        ):
            return
        if not isinstance(arguments[0], str | Path) or not Path(arguments[0]).is_relative_to(self._folder):
            return
        self._looks_left -= 1
        if self._looks_left == 0:
            self._is_removing = True
            shutil.rmtree(self._folder, ignore_errors=True)
            self._is_removing = False


async def test_a_folder_may_vanish_at_any_look(kit: ProcessKit) -> None:
    async with kit.host() as host:
        neighbour = await host.start(kit.spec(generation=99))
        await kit.note(neighbour)
        servers, at = kit.folder / "servers", 0
        has_happened = True
        while has_happened:
            at += 1
            spec = kit.spec(generation=at)
            vanishing = Vanishing(servers / server_name(spec), at=at)
            with suppress(ServerStartError):
                # Either it says why it was not started, or it is there until it is stopped, and its end is told.
                server = await host.start(spec)
                assert set(await host.list()) >= {neighbour} - {server}
                await host.stop(server, grace_s=5)
                assert (await next_exit(host)).server == server
            has_happened, vanishing.is_over = vanishing.has_happened, True
        assert at > 5
        shutil.rmtree(servers)
        assert list(await host.list()) == [neighbour]
        await host.stop(neighbour, grace_s=5)
        assert (await next_exit(host)).server == neighbour


async def test_user_code_gets_the_usual_variables_and_those_that_the_owner_names(
    kit: ProcessKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("WANTED_REGION", "eu")
    monkeypatch.setenv("LC_TIME", "C")
    async with kit.host() as host:
        server = await host.start(kit.spec())
        env = (await kit.note(server))["env"]
        await host.stop(server, grace_s=5)
    assert isinstance(env, dict)
    assert env["PATH"].endswith(os.environ["PATH"])
    assert (env["LC_TIME"], env["WANTED_REGION"]) == ("C", "eu")
    assert "AWS_SECRET_ACCESS_KEY" not in env


def bare_python(folder: Path) -> str:
    """An interpreter in whose environment nothing is installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "bare"], check=True)
    return str(folder / "bare" / "bin" / "python")


async def test_an_interpreter_without_a_code_server_is_told_with_the_line_that_installs_it(tmp_path: Path) -> None:
    kit, python = ProcessKit(tmp_path), bare_python(tmp_path)
    source = CodeSource(TargetKind.MODULE, "definitions", python_executable=python)
    async with kit.host(launching=USUAL) as host:
        server = await host.start(replace(kit.spec(), source=source))
        assert (await next_exit(host)).exit_code == 1
        told = await host.tail(server, max_bytes=10_000)
    assert f"{python} -m pip install isthmus-code-server" in told


async def test_a_lent_path_comes_last_and_is_told_to_the_server(tmp_path: Path) -> None:
    kit, lent = ProcessKit(tmp_path), tmp_path / "lent"
    package = lent / "isthmus_code_server"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    note = tmp_path / "note"
    (package / "main.py").write_text(
        f"import os, pathlib, sys; pathlib.Path({str(note)!r}).write_text("
        "repr((sys.path[-1], __name__, sys.argv[1:3], os.environ['ISTHMUS_LENT_PATH'])))"
    )
    python = bare_python(tmp_path)
    source = CodeSource(TargetKind.MODULE, "definitions", python_executable=python)
    async with kit.host(launching=Launching(lent_paths={python: (str(lent),)})) as host:
        await host.start(replace(kit.spec(), source=source))
        assert (await next_exit(host)).exit_code == 0
    assert note.read_text() == repr((str(lent), "__main__", ["serve", "--config"], str(lent)))
