"""Starts a code server's process: its folder, its configuration, its environment."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus_agent.errors import ServerStartError
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.process.environment import passed_on
from isthmus_agent.hosts.process.procfs import TAG_VARIABLE
from isthmus_agent.hosts.server_config import CONFIG_FILE, config_text

#: What a code server is, after the interpreter. Without -P, whoever chooses the working directory would choose its modules.
CODE_SERVER_COMMAND = ("-P", "-m", "isthmus_code_server.main", "serve")
OUTPUT_FILE = "output.log"


@dataclass(frozen=True)
class Launching:
    """How the code servers of a host are started."""

    #: What to start, after the interpreter; `--config FILE` is added.
    command: tuple[str, ...] = CODE_SERVER_COMMAND
    #: Names of the agent's environment variables that user code gets beside the usual ones, with shell wildcards.
    passed_env: tuple[str, ...] = ()


#: As the code servers of an agent are started whose owner names nothing.
USUAL = Launching()


def prepare_folder(folder: Path, *, spec: ServerSpec, server: str, address: str) -> None:
    """Make the server's folder with its configuration, readable by this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    spec.runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = config_text(spec, server=server, address=address, runs_dir=str(spec.runs_dir))
    with open(folder / CONFIG_FILE, "w", encoding="utf-8", opener=_open_private) as file:
        file.write(text)


def spawn(folder: Path, *, spec: ServerSpec, server: str, tag: str, how: Launching) -> int:
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
                (python, *how.command, "--config", str(folder / CONFIG_FILE)),
                cwd=folders[0] if folders else None,
                env=_environment(spec, tag=tag, how=how),
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


def _environment(spec: ServerSpec, *, tag: str, how: Launching) -> Mapping[str, str]:
    own = passed_on(os.environ, patterns=how.passed_env)
    return {**own, **_search_path(spec.source.python_executable), **spec.env, TAG_VARIABLE: tag}


def _search_path(python: str) -> Mapping[str, str]:
    """Put the commands of an interpreter's virtual environment first, as activating it would."""
    folder = Path(python).parent
    if not python or not (folder.parent / "pyvenv.cfg").is_file():
        return {}
    return {"PATH": os.pathsep.join(part for part in (str(folder), os.environ.get("PATH", "")) if part)}


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
