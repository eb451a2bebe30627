"""Checks of the machine itself: versions, clock, disk, folders, container engine."""

import ctypes
import http.client
import importlib.metadata
import os
import platform
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from isthmus_doctor.finding import Finding

#: Below these many bytes, and this share of inodes, a disk is told.
_LITTLE_BYTES, _NO_BYTES = 2 * 1024**3, 200 * 1024**2
_LITTLE_INODES = 0.02
#: What `adjtimex` returns while nothing keeps the clock in step.
_CLOCK_UNSYNCHRONIZED = 5
_ENGINE_TIMEOUT_S = 5.0


def versions() -> Iterator[Finding]:
    """The parts of Isthmus that are installed beside this one have one version."""
    names = {one.name.lower().replace("_", "-") for one in importlib.metadata.distributions() if one.name}
    parts = {name: importlib.metadata.version(name) for name in sorted(names) if name.startswith("isthmus-")}
    python = platform.python_version()
    if len(set(parts.values())) <= 1:
        yield Finding.ok("versions", f"Isthmus {next(iter(parts.values()), '?')}, {len(parts)} parts, Python {python}")
        return
    newest = max(parts.values())
    old = " ".join(f"{name}=={newest}" for name, version in parts.items() if version != newest)
    text = ", ".join(f"{name} {version}" for name, version in parts.items())
    yield Finding.fail("versions", f"parts of several versions: {text}", remedy=f"pip install {old}")


def clock() -> Iterator[Finding]:
    """The kernel believes that something keeps the clock in step."""
    # The buffer is larger than the kernel's structure is on any machine, and all zero: it asks, and sets nothing.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    if state == _CLOCK_UNSYNCHRONIZED:
        yield Finding.warn(
            "clock",
            "nothing keeps it in step; schedules and leases of several machines depend on it",
            remedy="timedatectl set-ntp true",
        )
    elif state < 0:
        yield Finding.ok("clock", "the kernel does not tell, as within some containers")
    else:
        yield Finding.ok("clock", "in step")


def disk(folder: Path) -> Iterator[Finding]:
    """There is room where data is kept."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    facts = os.statvfs(there)
    remedy = f"make room on the disk of {there}, or keep the data elsewhere (--data-dir, ISTHMUS_AGENT_DATA_DIR)"
    text = f"{free / 1024**3:.1f} GiB free for {folder}"
    if free < _NO_BYTES:
        yield Finding.fail("disk", text, remedy=remedy)
    elif free < _LITTLE_BYTES:
        yield Finding.warn("disk", text, remedy=remedy)
    elif facts.f_files and facts.f_favail / facts.f_files < _LITTLE_INODES:
        yield Finding.warn("disk", f"hardly any inodes are left for {folder}", remedy=remedy)
    else:
        yield Finding.ok("disk", text)


def folder(path: Path, *, name: str) -> Iterator[Finding]:
    """A data folder belongs to this user, is closed to all others, and can be written."""
    if not path.exists():
        parent = next(one for one in path.parents if one.exists())
        if os.access(parent, os.W_OK):
            yield Finding.ok(name, f"{path} is made at the first start")
        else:
            yield Finding.fail(name, f"{path} cannot be made", remedy=f"sudo install -d -o {os.getuid()} -m 700 {path}")
        return
    facts = path.stat()
    if facts.st_uid != os.getuid() and os.getuid() != 0:
        remedy = f"sudo chown -R {os.getuid()} {path}"
        yield Finding.fail(
            name, f"{path} belongs to user {facts.st_uid}, and this is user {os.getuid()}", remedy=remedy
        )
    elif not os.access(path, os.W_OK | os.X_OK):
        yield Finding.fail(name, f"{path} cannot be written", remedy=f"chmod u+rwx {path}")
    elif stat.S_IMODE(facts.st_mode) & 0o077:
        yield Finding.warn(name, f"{path} is open to other users", remedy=f"chmod 700 {path}")
    else:
        yield Finding.ok(name, str(path))


def engine(url: str, *, is_needed: bool) -> Iterator[Finding]:
    """The container engine answers; where no agent needs it, that it does not is no more than worth a word."""
    name, path = "engine", url.removeprefix("unix://")
    if not url.startswith("unix://"):
        yield Finding.ok(name, f"{url} is not looked at")
        return
    try:
        version = _engine_version(path)
    except FileNotFoundError:
        problem, remedy = f"there is no {path}", "start the engine (systemctl start docker), or install docker.io"
    except PermissionError:
        problem, remedy = f"{path} is closed to this user", "sudo usermod -aG docker $USER, then log in again"
    except (OSError, http.client.HTTPException) as error:
        problem, remedy = f"{path} does not answer: {error}", "systemctl restart docker"
    else:
        yield Finding.ok(name, f"{version} at {path}")
        return
    if is_needed:
        yield Finding.fail(name, problem, remedy=remedy)
    else:
        yield Finding.ok(name, f"{problem}; only code in containers needs it")


def _engine_version(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ENGINE_TIMEOUT_S)
        connection.connect(path)
        connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.getheader("Server") or "an engine"
