"""A shell at a terminal, for pages whose commands are executed: in tests, and to record what they print."""

import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from docs_pages.walkthrough import Step, Stop, Type, Write

_PATIENCE_S = 600.0
_LOOK_EVERY_S = 0.05


class WalkthroughError(Exception):
    """A command did not do what its page says: the message has what it printed."""


class Command:
    """A command at a terminal of its own, and what it has printed so far."""

    def __init__(self, shown: str, script: str, *, columns: int, env: Mapping[str, str]) -> None:
        self.shown = shown
        self._printed = bytearray()
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # As in a job of a script's background: what is started there would never hear Ctrl-C either.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._process = subprocess.Popen(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, args=(master,), daemon=True)
        self._reader.start()

    @property
    def printed(self) -> str:
        """What it has printed, as a terminal gets it."""
        return self._printed.decode(errors="replace")

    def _read(self, master: int) -> None:
        with open(master, "rb", buffering=0) as terminal:
            while True:
                try:
                    piece = terminal.read(65536)
                except OSError:  # the last of its processes has closed the terminal
                    return
                if not piece:
                    return
                self._printed += piece

    def wait_ended(self) -> int:
        """Wait for its end, and return its exit code."""
        try:
            code = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise WalkthroughError(f"{self.shown!r} did not end:\n{self.printed}") from None
        self._reader.join(5.0)
        return code

    def wait_printed(self, text: str) -> None:
        """Wait until it has printed a text."""
        deadline = time.monotonic() + _PATIENCE_S
        while text not in self.printed:
            if self._process.poll() is not None and not self._reader.is_alive():
                raise WalkthroughError(f"{self.shown!r} ended without printing {text!r}:\n{self.printed}")
            if time.monotonic() > deadline:
                raise WalkthroughError(f"{self.shown!r} did not print {text!r}:\n{self.printed}")
            time.sleep(_LOOK_EVERY_S)

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for its end."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        self.wait_ended()


@dataclass
class Shell:
    """Does what the reader of a page does. Where the page is executed, some words stand for others."""

    home: Path
    #: The state of the shell between commands: current directory and variables.
    state: Path
    columns: int = 100
    #: What is typed or written instead of what the page says.
    replacing: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    #: Is told each command once it ended, or was left running; and each file.
    tell: Callable[["Command | Write"], None] = lambda _: None
    _left_running: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cwd.write_text(f"{self.home}\n")
        self._variables.write_text("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for command in reversed(self._left_running):
            command.interrupt()

    @property
    def _cwd(self) -> Path:
        return self.state / "cwd"

    @property
    def _variables(self) -> Path:
        return self.state / "variables"

    def do(self, step: Step) -> None:
        """Do one step.

        Raises:
            WalkthroughError: It went otherwise than the page says.
        """
        match step:
            case Write():
                self._write(step)
            case Stop():
                self._stop(step.command)
            case Type():
                self._type(step)

    def _write(self, step: Write) -> None:
        path = Path(self._cwd.read_text().strip()) / step.path
        path.write_text(self._replaced(step.text))
        self.tell(step)

    def _stop(self, shown: str) -> None:
        command = next(one for one in reversed(self._left_running) if one.shown == shown)
        command.interrupt()
        self._left_running.remove(command)

    def _type(self, step: Type) -> None:
        *before, last = step.commands
        for line in before:
            self._run(line, exit_code=0)
        if step.until:
            self._leave_running(last, until=step.until)
        else:
            self._run(last, exit_code=step.exit_code)
        if step.then:
            self._wait_told(step.then)

    def _run(self, line: str, *, exit_code: int) -> None:
        command = self._start(line)
        ended_with = command.wait_ended()
        self.tell(command)
        if ended_with != exit_code:
            told = "\n".join(one.printed for one in self._left_running)
            raise WalkthroughError(f"{line!r} ended with {ended_with}, not {exit_code}:\n{command.printed}\n{told}")

    def _leave_running(self, line: str, *, until: str) -> None:
        command = self._start(line)
        self._left_running.append(command)
        command.wait_printed(until)
        self.tell(command)

    def _wait_told(self, text: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not any(text in command.printed for command in self._left_running):
            if time.monotonic() > deadline:
                raise WalkthroughError(f"nothing printed {text!r}")
            time.sleep(_LOOK_EVERY_S)

    def _start(self, line: str) -> Command:
        cwd, variables = shlex.quote(str(self._cwd)), shlex.quote(str(self._variables))
        script = (
            f'. {variables}; cd "$(cat {cwd})"\n{self._replaced(line)}\n'
            f"code=$?; pwd > {cwd}; export -p > {variables}; exit $code"
        )
        return Command(line, script, columns=self.columns, env={**self.env, "HOME": str(self.home)})

    def _replaced(self, text: str) -> str:
        for said, meant in self.replacing.items():
            text = text.replace(said, meant)
        return text
