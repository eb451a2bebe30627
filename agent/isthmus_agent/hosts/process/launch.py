"""Starts a code server's process: its folder, its configuration, its environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import json_format
from isthmus.v1 import code_server_pb2 as code_server

from isthmus_agent.errors import ServerStartError
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.process.procfs import TAG_VARIABLE

#: The agent's own settings, the broker's password among them, are not the user code's business.
_PRIVATE_PREFIXES = ("ISTHMUS_AGENT_", "ISTHMUS_BROKER_")
#: Folders of ended servers that are kept for their output.
_KEPT_FOLDERS = 20

OUTPUT_FILE = "output.log"
CONFIG_FILE = "config.json"


def prepare_folder(folder: Path, *, spec: ServerSpec, server: str, address: str) -> None:
    """Make the server's folder with its configuration, readable by this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    spec.runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = code_server.CodeServerConfig(
        deployment=spec.deployment,
        agent=spec.agent,
        location=spec.location,
        generation=spec.generation,
        server=server,
        source=spec.source.to_proto(),
        listen=address,
        broker_url=spec.broker_url,
        runs_dir=str(spec.runs_dir),
        heartbeat_interval_s=spec.heartbeat_interval_s,
        cancel_grace_s=spec.cancel_grace_s,
        takes_one_run=spec.is_dedicated,
    )
    text = json_format.MessageToJson(config)
    with open(folder / CONFIG_FILE, "w", encoding="utf-8", opener=_open_private) as file:
        file.write(text)


def spawn(folder: Path, *, spec: ServerSpec, server: str, tag: str, command: tuple[str, ...]) -> int:
    """Start the process in a session of its own, so that it outlives the agent; return its pid.

    Raises:
        ServerStartError: the interpreter or the working directory is not there, or the system refused.
    """
    folders = [folder for folder in (spec.source.current_directory, spec.source.working_directory) if folder]
    for folder_wanted in folders:
        if not Path(folder_wanted).is_dir():
            raise ServerStartError(server=server, problem=f"working directory {folder_wanted} does not exist")
    python = spec.source.python_executable or sys.executable
    try:
        with open(folder / OUTPUT_FILE, "wb", opener=_open_private) as output:
            process = subprocess.Popen(
                (python, *command, "--config", str(folder / CONFIG_FILE)),
                cwd=folders[0] if folders else None,
                env=_environment(spec, tag=tag),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise ServerStartError(server=server, problem=f"{python}: {error.strerror or error}") from error
    # The pidfd reaps it. Popen must believe it is over, or it would complain, and reap it in our place.
    process.returncode = 0
    return process.pid


def remove_old_folders(servers_dir: Path, *, keep: frozenset[str]) -> None:
    """Remove the oldest folders of ended servers; those named in `keep` run."""
    ended = [folder for folder in servers_dir.iterdir() if folder.is_dir() and folder.name not in keep]
    ended.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in ended[_KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)


def read_tail(path: Path, *, max_bytes: int) -> str:
    """Return the end of a file as text; nothing when there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _environment(spec: ServerSpec, *, tag: str) -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE_PREFIXES)}
    return {**own, **_search_path(spec.source.python_executable), **spec.env, TAG_VARIABLE: tag}


def _search_path(python: str) -> Mapping[str, str]:
    """Put the commands of an interpreter's virtual environment first, as activating it would."""
    folder = Path(python).parent
    if not python or not (folder.parent / "pyvenv.cfg").is_file():
        return {}
    return {"PATH": os.pathsep.join(part for part in (str(folder), os.environ.get("PATH", "")) if part)}


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
