"""Blocking reads and writes of frames, for the processes that have no event loop."""

import socket

from isthmus_code_server.zygote.wire import (
    FORK_FRAME_SIZE,
    HEAD,
    Fork,
    FrameKind,
    frame,
    read_fork_frame,
    read_head,
)


def send_frame(channel: socket.socket, kind: FrameKind, payload: bytes = b"") -> None:
    """Send a frame whole.

    Raises:
        OSError: The other side is gone.
    """
    channel.sendall(frame(kind, payload))


def receive_frame(channel: socket.socket) -> tuple[FrameKind, bytes] | None:
    """Receive a frame; None when the other side closed instead."""
    head = _receive_exactly(channel, HEAD.size)
    if head is None:
        return None
    length, kind = read_head(head)
    payload = _receive_exactly(channel, length)
    return None if payload is None else (kind, payload)


def receive_fork(channel: socket.socket) -> tuple[Fork, int | None] | None:
    """Receive a FORK frame; None when the other side closed.

    Returns:
        The call, and the child's file descriptor: None when this process may have no more of them.
    """
    data, fds, _, _ = socket.recv_fds(channel, FORK_FRAME_SIZE, 1)
    while data and len(data) < FORK_FRAME_SIZE:
        more = channel.recv(FORK_FRAME_SIZE - len(data))
        data = data + more if more else b""
    if not data:
        return None
    return read_fork_frame(data), fds[0] if fds else None


def _receive_exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)
