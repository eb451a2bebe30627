"""Starts a code server's process: its folder, its configuration, its environment."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from isthmus_lifecycle.lent import LENT_PATH_VARIABLE, RUN_WITH_LENT_PATH
from isthmus_lifecycle.plain_file import make_way, open_plain, replace_plain

from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.process.environment import passed_on
from isthmus_agent.hosts.process.procfs import TAG_VARIABLE
from isthmus_agent.hosts.server_config import CONFIG_FILE, config_text

#: What a code server is, after the interpreter. Without -P, whoever chooses the working directory would choose its modules.
CODE_SERVER_COMMAND = ("-P", "-m", "isthmus_code_server.main", "serve")
#: The same for an interpreter that is lent the code server.
LENT_CODE_SERVER_COMMAND = ("-P", "-c", RUN_WITH_LENT_PATH, "isthmus_code_server.main", "serve")
#: What Python says of a module that it does not have, where that is ours.
_WITHOUT_US = re.compile(r"^(?P<python>\S+): .*No module named '?isthmus_code_server\b", re.MULTILINE)
OUTPUT_FILE = "output.log"


@dataclass(frozen=True)
class Launching:
    """How the code servers of a host are started."""

    #: What to start, after the interpreter; `--config FILE` is added.
    command: tuple[str, ...] = CODE_SERVER_COMMAND
    #: Names of the agent's environment variables that user code gets beside the usual ones, with shell wildcards.
    passed_env: tuple[str, ...] = ()
    #: Folders from which an interpreter that has no code server is lent one, by the interpreter.
    lent_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def command_of(self, python: str) -> tuple[str, ...]:
        """Return what starts a code server on an interpreter."""
        return (python, *(LENT_CODE_SERVER_COMMAND if python in self.lent_paths else self.command))


#: As the code servers of an agent are started whose owner names nothing.
USUAL = Launching()


def prepare_folder(folder: Path, *, spec: ServerSpec, server: str, address: str) -> None:
    """Make the server's folder with its configuration, readable by this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    spec.runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = config_text(spec, server=server, address=address, runs_dir=str(spec.runs_dir))
    replace_plain(folder / CONFIG_FILE, text.encode())
    # User code of an earlier life may have left anything in its place.
    make_way(folder / OUTPUT_FILE)


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
        with open(folder / OUTPUT_FILE, "wb", opener=_open_appending) as output:
            process = subprocess.Popen(
                (*how.command_of(python), "--config", str(folder / CONFIG_FILE)),
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
    python = spec.source.python_executable
    lent = {LENT_PATH_VARIABLE: os.pathsep.join(how.lent_paths[python])} if python in how.lent_paths else {}
    return {**own, **_activated(python), **spec.env, **lent, TAG_VARIABLE: tag}


def _activated(python: str) -> Mapping[str, str]:
    """Put the commands of an interpreter's environment first, and name it, as activating it would."""
    folder = Path(python).parent
    environment = folder.parent
    is_virtual = (environment / "pyvenv.cfg").is_file()
    if not python or not (is_virtual or (environment / "conda-meta").is_dir()):
        return {}
    path = os.pathsep.join(part for part in (str(folder), os.environ.get("PATH", "")) if part)
    return {"PATH": path, "VIRTUAL_ENV" if is_virtual else "CONDA_PREFIX": str(environment)}


def explained(output: str) -> str:
    """Return what a server wrote, with the remedy where its interpreter does not have us."""
    lacking = _WITHOUT_US.search(output)
    if lacking is None:
        return output
    python = lacking["python"]
    return f"{output.rstrip()}\nInstall it there: {python} -m pip install isthmus-code-server\n"


def _open_appending(path: str, flags: int) -> int:
    """Open what the server's processes write to: they append, so that the server can cut its beginning off."""
    return open_plain(path, flags | os.O_APPEND)
