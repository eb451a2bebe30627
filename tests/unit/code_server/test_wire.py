"""Frames survive the way over a socket, in whatever pieces they come."""

import os
import socket
import threading

from hypothesis import given
from hypothesis import strategies as st
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.zygote.channel import receive_fork, receive_frame, send_frame
from isthmus_code_server.zygote.wire import Exited, Fork, Forked, FrameKind, LoadOrder, fork_frame, frame


@given(st.sampled_from(FrameKind), st.binary(max_size=2000))
def test_a_frame_comes_as_it_was_sent(kind: FrameKind, payload: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_frame(ours, kind, payload)
        assert receive_frame(theirs) == (kind, payload)


def test_a_large_frame_comes_whole() -> None:
    ours, theirs = socket.socketpair()
    payload = os.urandom(3_000_000)
    with ours, theirs:
        sender = threading.Thread(target=send_frame, args=(ours, FrameKind.ANSWER, payload))
        sender.start()
        assert receive_frame(theirs) == (FrameKind.ANSWER, payload)
        sender.join()


def test_a_torn_frame_is_none() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(frame(FrameKind.ANSWER, b"whole")[:-1])
        assert receive_frame(theirs) is None


def test_a_fork_frame_brings_a_descriptor_each() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pipes = [os.pipe() for _ in range(3)]
        for call, (_, writer) in enumerate(pipes):
            socket.send_fds(ours, [fork_frame(Fork(call=call, is_run=call == 1))], [writer])
            os.close(writer)
        for call, (reader, _) in enumerate(pipes):
            received = receive_fork(theirs)
            assert received is not None
            assert received[0] == Fork(call=call, is_run=call == 1)
            assert received[1] is not None
            os.write(received[1], str(call).encode())
            os.close(received[1])
            assert os.read(reader, 10) == str(call).encode()
            os.close(reader)
        ours.close()
        assert receive_fork(theirs) is None


@given(st.integers(0, 2**64 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(0, 65535))
def test_reports_survive(call: int, pid: int, status: int) -> None:
    forked = Forked(call=call, pid=pid)
    exited = Exited(call=call, pid=pid, status=status, left=call % 2**32, left_names="sleep\nsh")
    assert Forked.decode(forked.encode()) == forked
    assert Exited.decode(exited.encode()) == exited


@given(st.text(), st.text(), st.text())
def test_a_load_order_survives(module: str, attribute: str, home: str) -> None:
    order = LoadOrder(source=DefinitionsSource(module=module, attribute=attribute), home=home)
    assert LoadOrder.decode(order.encode()) == order
