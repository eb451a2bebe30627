"""The zygote holds nothing that does not survive a fork."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from isthmus.v1.code_server_pb2 import DescribeResponse
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.zygote.channel import receive_frame, send_frame
from isthmus_code_server.zygote.wire import Exited, Fork, FrameKind, LoadOrder, StartChoice, StartMethod, fork_frame
from support_code_server import PROJECTS

#: Imports what the zygote imports, in its order, and tells what came along besides what Dagster itself brings.
_IMPORTS = """
import sys, threading
import dagster
dagster.DagsterInstance.ephemeral()
brought_by_dagster = set(sys.modules)
import isthmus_code_server.zygote.__main__, isthmus_code_server.zygote.server, isthmus_code_server.zygote.child
import isthmus_code_server.definitions.dagster.adapter
ours = {name.partition(".")[0] for name in set(sys.modules) - brought_by_dagster}
forbidden = {"grpc", "asyncio", "aio_pika", "aiormq", "zstandard", "concurrent", "multiprocessing"}
print(sorted(ours & forbidden), threading.active_count())
"""


def test_we_import_no_grpc_no_event_loop_and_no_amqp_before_the_fork() -> None:
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", _IMPORTS], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "[] 1"


def start_zygote(module: str, home: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "isthmus_code_server.zygote", str(theirs.fileno()), str(os.getpid())],
            pass_fds=(theirs.fileno(),),
        )
    source = DefinitionsSource(module=module, working_directory=str(PROJECTS))
    send_frame(ours, FrameKind.LOAD, LoadOrder(source=source, home=str(home)).encode())
    return process, ours


def test_it_ends_when_its_supervisor_closes_the_channel(tmp_path: Path) -> None:
    process, channel = start_zygote("one_job", tmp_path)
    with channel:
        kind, payload = receive_frame(channel) or (None, b"")
        assert kind is FrameKind.START
        assert StartChoice.decode(payload).method is StartMethod.FORK
        kind, payload = receive_frame(channel) or (None, b"")
    assert kind is FrameKind.LOADED
    assert DescribeResponse.FromString(payload).snapshot.jobs[0].name == "only_job"
    assert process.wait(10) == 0


_NO_ROOM = """
import socket, sys
from isthmus_code_server.zygote.nursery import Nursery

class NoRoom:
    takes_unready_spares = False

    def has_room(self):
        return True

    def start(self, fd, *, inherited):
        raise BlockingIOError("no more processes")

    def start_ahead(self, *, inherited):
        raise BlockingIOError("no more processes")

Nursery(socket.socket(fileno=int(sys.argv[1])), start=NoRoom(), spares=1).serve()
"""


def test_a_child_that_cannot_be_started_fails_its_call_and_nothing_else() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", _NO_ROOM, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
    with ours:
        for call in (1, 2):
            here, there = socket.socketpair()
            with here, there:
                socket.send_fds(ours, [fork_frame(Fork(call=call, is_run=True))], [there.fileno()])
                assert receive_frame(ours) == (FrameKind.EXITED, Exited(call=call, pid=0, status=1 << 8).encode())
        # A frame that came without its descriptor, as when this process may have no more of them.
        ours.sendall(fork_frame(Fork(call=3, is_run=True)))
        assert receive_frame(ours) == (FrameKind.EXITED, Exited(call=3, pid=0, status=1 << 8).encode())
    assert process.wait(10) == 0


_ONE_AHEAD = """
import os, socket, sys
from isthmus_code_server.zygote.nursery import Nursery
from isthmus_code_server.zygote.spare import Spare, wait_for_channel

class Telling:
    takes_unready_spares = True

    def has_room(self):
        return True

    def start(self, fd, *, inherited):
        pid = os.fork()
        if pid == 0:
            os.write(fd, b"made for it")
            os._exit(0)
        return pid

    def start_ahead(self, *, inherited):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            print("ahead", flush=True)
            if (channel := wait_for_channel(theirs)) is not None:
                channel.sendall(b"made ahead")
            os._exit(0)
        theirs.close()
        return Spare(pid=pid, channel=ours)

Nursery(socket.socket(fileno=int(sys.argv[1])), start=Telling(), spares=1).serve()
"""


def test_the_child_that_waits_ahead_is_kept_for_a_run_however_many_questions_come() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", _ONE_AHEAD, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdout=subprocess.PIPE)
    assert process.stdout is not None
    with ours, process.stdout as told:
        assert told.readline() == b"ahead\n"
        for call, is_run in enumerate((False, False, True), start=1):
            here, there = socket.socketpair()
            with here:
                with there:
                    socket.send_fds(ours, [fork_frame(Fork(call=call, is_run=is_run))], [there.fileno()])
                assert here.recv(20) == (b"made ahead" if is_run else b"made for it")
        # What it still has to say of its children finds us.
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(10) == 0


def test_it_dies_with_its_supervisor(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, socket, subprocess, sys, time
        ours, theirs = socket.socketpair()
        zygote = subprocess.Popen(
            [sys.executable, "-m", "isthmus_code_server.zygote", str(theirs.fileno()), str(os.getpid())],
            pass_fds=(theirs.fileno(), 1),
        )
        print(zygote.pid, flush=True)
        sys.stdin.read()
        os._exit(0)
        """
    )
    command = [sys.executable, "-c", script]
    # The zygote inherits stdout: its end is the end of the stream.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdin is not None
        assert supervisor.stdout.readline()
        supervisor.stdin.close()
        assert supervisor.stdout.read() == b""
