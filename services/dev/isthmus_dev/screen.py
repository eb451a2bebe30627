"""What `isthmus dev` prints: steps of its start, what happens later, and its end."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from isthmus.v1.control_plane_pb2 import Location
from isthmus.v1.telemetry_pb2 import JobSnapshot, LocationSnapshot
from isthmus_cli.terminal import terminal_line
from isthmus_cli.view.location import contents_text, load_failure_lines
from isthmus_cli.view.output import print_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import asset_text, duration_text


@dataclass
class Step:
    """One step of the start or the end: what is said about it when it is done."""

    facts: str = ""
    is_good: bool = True


@dataclass
class Screen:
    """Writes to the terminal; a line that is under way is replaced by its outcome where that is possible."""

    paint: Paint = field(default_factory=Paint.of)
    is_terminal: bool = field(default_factory=sys.stdout.isatty)
    #: Called when nobody reads any more: the terminal is closed, or the pipe is broken.
    on_lost: Callable[[], None] = lambda: None
    _warned: set[str] = field(default_factory=set, init=False)
    #: The step that is under way, where its line stands on the terminal.
    _under_way: str = field(default="", init=False)

    def say(self, *lines: str) -> None:
        """Write lines; that of a step which is under way goes below them."""
        self._write(lambda: self._say(lines))

    def lose(self) -> None:
        """Write to nobody from now on, and say so to whoever is responsible."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if stream is sys.stdout or stream.isatty():
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        self.on_lost()

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError:
            self.lose()

    def happened(self, text: str) -> None:
        """Write a line with the time of day."""
        now = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        self.say(f"{self.paint.dim(now)}  {text}")

    def warn(self, location: Location) -> None:
        """Write what the location's code server warns of, and was not said yet: it is the same after each reload."""
        for warning in location.snapshot.warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self.say(f"{self.paint.yellow('!')} {location.settings.name}: {warning}")

    def _say(self, lines: Sequence[str]) -> None:
        if self._under_way:
            _raw("\r\x1b[K")
        print_lines(lines)
        if self._under_way:
            self._begin_line()

    def _begin_line(self) -> None:
        _raw(terminal_line(f"{self.paint.dim('…')} {self._under_way}", is_colored=self.paint.is_colored))

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show that something is under way, then how it went and how long it took."""
        began, step = monotonic(), Step()
        if self.is_terminal:
            self._under_way = name
            self._write(self._begin_line)
        is_done = False
        try:
            yield step
            is_done = True
        finally:
            mark = self.paint.green("✓") if is_done and step.is_good else self.paint.red("✗")
            took = self.paint.dim(duration_text(monotonic() - began))
            if self.is_terminal:
                self._under_way = ""
                self._write(lambda: _raw("\r\x1b[K"))
            self.say(f"{mark} {name:14}{step.facts}  {took}")


def _raw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def ready_lines(locations: Sequence[Location], *, address: str, server_option: str, paint: Paint) -> list[str]:
    """Tell what to type next, by the first location that loaded."""
    shown = next((location for location in locations if location.snapshot.jobs), locations[0])
    # With several locations a job alone does not say where it is.
    where = f"{shown.settings.name} " if len(locations) > 1 else ""
    commands = [
        *(f"isthmus{server_option} run launch {where}{target} --watch" for target in launch_examples(shown.snapshot)),
        f"isthmus{server_option} location show {shown.settings.name}",
        f"isthmus{server_option} run list",
        # These rest until they are started, unless their code says otherwise.
        *(f"isthmus{server_option} {group} list" for group in _on_a_clock(locations)),
    ]
    return [
        "",
        f"Isthmus is ready at {paint.bold(address)}. In another terminal:",
        *(f"  {paint.cyan(command)}" for command in commands),
        paint.dim("Ctrl-C stops everything; runs and locations are kept."),
        "",
    ]


def _on_a_clock(locations: Sequence[Location]) -> list[str]:
    """Name the commands for what starts runs by itself, where there is any."""
    there = {
        "schedule": any(location.snapshot.schedules for location in locations),
        "sensor": any(location.snapshot.sensors for location in locations),
    }
    return [group for group, is_there in there.items() if is_there]


def launch_examples(snapshot: LocationSnapshot) -> list[str]:
    """Choose a job and an asset that can be launched as they are; a partition is named where each needs one."""
    jobs = [
        (job.name, job.partitions) for job in snapshot.jobs if not job.is_implicit_asset_job and not _needs_config(job)
    ]
    assets = [
        (f"--assets {shlex.quote(asset_text(asset.key))}", asset.partitions)
        for asset in snapshot.assets
        if asset.is_executable
    ]
    examples = []
    for targets in (jobs, assets):
        plain = [target for target, partitions in targets if not partitions.kind]
        examples += [*plain, *(f"{target} --partition KEY" for target, _ in targets)][:1]
    return examples


def _needs_config(job: JobSnapshot) -> bool:
    return any(part.is_required for part in job.config.fields)


def failure_lines(location: Location, *, server_option: str, paint: Paint) -> list[str]:
    """Tell why the definitions do not load, and how to go on."""
    reload = f"isthmus{server_option} location reload {location.settings.name}"
    return [*load_failure_lines(location, paint=paint), "", f"Mend it, then: {paint.cyan(reload)}", ""]


def loaded_text(location: Location) -> str:
    """Tell what was loaded."""
    frameworks = {placement.report.framework for placement in location.placements if placement.report.framework}
    return ", ".join([contents_text(location.snapshot), *sorted(frameworks)])
