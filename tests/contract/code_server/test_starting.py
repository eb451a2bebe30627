"""How runs get their processes is found out: forked where that is safe, else interpreters of their own that wait ahead."""

import os
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.zygote.wire import StartMethod
from support.eventually import eventually
from support_code_server import bodies, run_request
from support_supervisor import ended, journal, supervising

_REST = """

@dg.op
def work():
    use()


@dg.job(executor_def=dg.in_process_executor)
def together():
    work()


@dg.job
def apart():
    work()


defs = dg.Definitions(jobs=[together, apart])
"""

#: What importing leaves behind that a fork would lose or share, and what a run does with it.
_HARMFUL = {
    "a thread holds a lock": """
import threading
import dagster as dg

lock, is_held = threading.Lock(), threading.Event()


def hold():
    with lock:
        is_held.set()
        threading.Event().wait(1)


threading.Thread(target=hold, daemon=True, name="holder").start()
is_held.wait()


def use():
    with lock:
        pass
""",
    "an executor was used": """
from concurrent.futures import ThreadPoolExecutor
import dagster as dg

pool = ThreadPoolExecutor(2)
pool.submit(int).result()


def use():
    assert pool.submit(int).result() == 0
""",
    "an event loop runs in a thread": """
import asyncio, threading
import dagster as dg

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


async def answer():
    return 42


def use():
    assert asyncio.run_coroutine_threadsafe(answer(), loop).result() == 42
""",
    "a queue of log lines is listened to": """
import logging, logging.handlers, queue
import dagster as dg

lines = queue.Queue(1)
listener = logging.handlers.QueueListener(lines, logging.StreamHandler())
listener.start()


def use():
    for number in range(3):
        lines.put(logging.makeLogRecord({"msg": str(number)}))
    lines.join()
""",
    "DuckDB was used": """
import dagster as dg
import duckdb

db = duckdb.connect()
db.sql("create table numbers as select i from range(200000) rows(i)")
total = "select sum(i) from numbers group by i % 1000"
db.sql(total).fetchall()


def use():
    assert len(db.sql(total).fetchall()) == 1000
""",
    "a process was started that answers": """
import subprocess
import dagster as dg

helper = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def use():
    assert helper.poll() is None
    print("question", file=helper.stdin, flush=True)
    assert helper.stdout.readline() == "question\\n"
""",
    "a gRPC channel was used": """
import dagster as dg
import grpc

channel = grpc.insecure_channel("127.0.0.1:1")
try:
    channel.unary_unary("/a/b")(b"", timeout=0.2)
except grpc.RpcError:
    pass


def use():
    try:
        channel.unary_unary("/a/b")(b"", timeout=0.2)
    except grpc.RpcError:
        pass
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project.py"


async def warnings_of(supervisor: Supervisor) -> list[str]:
    return list((await supervisor.zygote.described()).snapshot.warnings)


def method_of(supervisor: Supervisor) -> StartMethod:
    assert supervisor.zygote.start is not None
    return supervisor.zygote.start.method


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", _HARMFUL)
async def test_what_a_fork_would_lose_is_found_and_runs_come_to_their_end(
    project: Path, tmp_path: Path, kind: str
) -> None:
    project.write_text(_HARMFUL[kind] + _REST)
    async with supervising(tmp_path, python_file=project, spares=1) as supervisor:
        warnings = await warnings_of(supervisor)
        assert method_of(supervisor) is StartMethod.SPAWN
        for job in ("together", "apart"):
            await supervisor.start(run_request(job, run_id=job))
            events = await ended(supervisor, job, within=40)
            assert bodies(events)[-1] == "run_succeeded", events[-1]
    assert len(warnings) == 1
    assert "`start: fork`" in warnings[0]


async def test_a_project_that_leaves_nothing_behind_is_forked_and_nothing_is_said(
    project: Path, tmp_path: Path
) -> None:
    project.write_text("import dagster as dg\n\n\ndef use():\n    pass\n" + _REST)
    async with supervising(tmp_path, python_file=project) as supervisor:
        assert await warnings_of(supervisor) == []
        assert method_of(supervisor) is StartMethod.FORK


async def test_a_connection_that_runs_would_share_is_named(project: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        project.write_text(
            f"import socket\nimport dagster as dg\n\nlink = socket.create_connection(('127.0.0.1', {port}))\n"
            "\n\ndef use():\n    pass\n" + _REST
        )
        async with supervising(tmp_path, python_file=project) as supervisor:
            warnings = await warnings_of(supervisor)
            assert method_of(supervisor) is StartMethod.SPAWN
    assert f"127.0.0.1:{port}" in warnings[0]


async def test_who_only_sends_single_messages_is_forked(project: Path, tmp_path: Path) -> None:
    project.write_text(
        "import socket\nimport dagster as dg\n\nfigures = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "figures.connect(('127.0.0.1', 8125))\n\n\ndef use():\n    pass\n" + _REST
    )
    async with supervising(tmp_path, python_file=project) as supervisor:
        assert await warnings_of(supervisor) == []
        assert method_of(supervisor) is StartMethod.FORK


async def test_a_project_that_can_be_imported_once_at_a_time_is_forked_after_all(project: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    project.write_text(
        "import http.server, threading\nimport dagster as dg\n\n"
        "class Server(http.server.HTTPServer):\n    allow_reuse_address = False\n\n\n"
        f"server = Server(('127.0.0.1', {port}), http.server.BaseHTTPRequestHandler)\n"
        "threading.Thread(target=server.serve_forever, daemon=True, name='metrics').start()\n"
        "\n\ndef use():\n    pass\n" + _REST
    )
    async with supervising(tmp_path, python_file=project) as supervisor:
        (warning,) = await warnings_of(supervisor)
        assert warning.startswith("Runs are forked: the project cannot be imported by two processes at a time")
        for job in ("together", "apart"):
            await supervisor.start(run_request(job, run_id=job))
            assert bodies(await ended(supervisor, job, within=40))[-1] == "run_succeeded"
        assert method_of(supervisor) is StartMethod.FORK
        assert supervisor.zygote.start is not None
        assert "cannot be imported by two processes" in supervisor.zygote.start.why


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["a thread holds a lock", "an executor was used", "DuckDB was used"])
@pytest.mark.parametrize("job", ["together", "apart"])
async def test_a_server_for_one_run_executes_it_in_the_process_that_imported_the_project(
    project: Path, tmp_path: Path, kind: str, job: str
) -> None:
    imports = tmp_path / "imports"
    told = f"import os\nwith open({str(imports)!r}, 'a') as file:\n    print(os.getpid(), file=file)\n"
    project.write_text(told + _HARMFUL[kind] + _REST)
    async with supervising(tmp_path, python_file=project, is_for_one_run=True) as supervisor:
        assert method_of(supervisor) is StartMethod.SPAWN
        answer = await supervisor.start(run_request(job, run_id="r"))
        assert bodies(await ended(supervisor, "r", within=40))[-1] == "run_succeeded"
    steps_that_import = {"together": 0, "apart": 1}[job]
    importers = imports.read_text().split()
    assert len(importers) == 1 + steps_that_import
    assert importers[0] == str(answer.accepted.pid)


async def test_steps_of_a_server_for_one_run_are_forked_where_the_project_can_be_imported_once(
    project: Path, tmp_path: Path
) -> None:
    project.write_text(
        f"import fcntl, threading\nimport dagster as dg\n\nheld = open({str(tmp_path / 'held')!r}, 'w')\n"
        "fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "threading.Thread(target=threading.Event().wait, daemon=True, name='keeper').start()\n"
        "\n\ndef use():\n    pass\n" + _REST
    )
    async with supervising(tmp_path, python_file=project, is_for_one_run=True) as supervisor:
        assert method_of(supervisor) is StartMethod.FORK
        await supervisor.start(run_request("apart", run_id="r"))
        assert bodies(await ended(supervisor, "r", within=40))[-1] == "run_succeeded"


async def test_what_the_import_started_is_not_counted_as_left_behind_by_the_one_run(
    project: Path, tmp_path: Path
) -> None:
    project.write_text(
        "import subprocess\nimport dagster as dg\n\nhelper = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "\n\ndef use():\n    pass\n" + _REST
    )
    async with supervising(tmp_path, python_file=project, is_for_one_run=True) as supervisor:
        await supervisor.start(run_request("together", run_id="r"))
        events = await ended(supervisor, "r", within=40)
        assert events[-1].run_succeeded.ended_processes == 0


@pytest.mark.timeout(120)
async def test_who_waits_ahead_with_the_project_imported_starts_at_once_and_once(project: Path, tmp_path: Path) -> None:
    project.write_text("import time\nimport dagster as dg\n\ntime.sleep(2)\n\n\ndef use():\n    pass\n" + _REST)
    async with supervising(tmp_path, python_file=project, spares=2, start=StartMethod.SPAWN) as supervisor:
        zygote, pids = supervisor.zygote.pid, set()
        for number in range(2):
            await eventually(lambda: len(imported(zygote)) == 2, within=30)
            began = time.monotonic()
            answer = await supervisor.start(run_request("together", run_id=f"r{number}"))
            assert time.monotonic() - began < 2, "it imported first"
            pids.add(answer.accepted.pid)
            await ended(supervisor, f"r{number}", within=20)
        assert len(pids) == 2
        # One that is killed while it waits is replaced, and fails nothing.
        victim = imported(zygote)[0]
        os.kill(victim, signal.SIGKILL)
        await supervisor.start(run_request("together", run_id="after"))
        assert bodies(await ended(supervisor, "after", within=30))[-1] == "run_succeeded"
        await eventually(lambda: len(imported(zygote)) == 2 and victim not in imported(zygote), within=40)
    assert children_of(zygote) == []


async def test_a_forked_run_that_waits_for_what_it_does_not_have_says_so(project: Path, tmp_path: Path) -> None:
    project.write_text(_HARMFUL["an executor was used"] + _REST)
    async with supervising(tmp_path, python_file=project, start=StartMethod.FORK, still_after_s=0.6) as supervisor:
        for job in ("together", "apart"):
            await supervisor.start(run_request(job, run_id=job))
            told = await eventually(partial(standstills, supervisor, job), within=20)
            assert "start: spawn" in told[0]
            assert await supervisor.cancel(pb.RunRef(run_id=job, attempt=1))
            assert bodies(await ended(supervisor, job))[-1] == "run_canceled"


async def test_a_run_that_only_sleeps_is_left_alone(tmp_path: Path) -> None:
    async with supervising(tmp_path, still_after_s=0.3) as supervisor:
        config = {"ops": {"sleeps": {"config": {"ready": str(tmp_path / "ready"), "seconds": 2.0}}}}
        await supervisor.start(run_request("sleeping", run_id="r", config=config))
        assert bodies(await ended(supervisor, "r", within=20))[-1] == "run_succeeded"
        assert standstills(supervisor, "r") == []


def standstills(supervisor: Supervisor, run_id: str) -> list[str] | None:
    return [event.message for event in journal(supervisor, run_id) if event.log_message.is_standstill]


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def imported(zygote: int) -> list[int]:
    """Those of a zygote's children that wait for a request: they sleep in a read from a socket."""
    return [pid for pid in children_of(zygote) if "unix_stream" in _wait_of(pid)]


def _wait_of(pid: int) -> str:
    path = Path(f"/proc/{pid}/wchan")
    return path.read_text() if path.exists() else ""
