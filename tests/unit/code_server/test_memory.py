"""Where the kernel's counts of memory kills are read, and against which earlier ones they are held."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.attempts.death import StepDeaths
from isthmus_code_server.attempts.ending import ChildExit
from isthmus_code_server.attempts.memory import MemoryWatch

KILLED = ChildExit(exit_code=None, signal=9)
#: As waitpid tells of SIGKILL.
KILLED_STATUS = 9


@dataclass
class Group:
    """A control group in files, and a clock, at the test's command."""

    folder: Path
    kills: int = 0
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        proc = self.folder / "proc"
        (proc / "self").mkdir(parents=True)
        (proc / "self/cgroup").write_text("0::/app\n")
        (self.folder / "groups/app").mkdir(parents=True)
        self._write()
        memory = MemoryWatch(proc=proc, groups=self.folder / "groups", clock=lambda: self.now_s)
        self.deaths = StepDeaths(memory)

    def kill_one(self) -> None:
        self.kills += 1
        self._write()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, at the end of which somebody looks."""
        self.now_s += seconds
        self.deaths.look()

    def _write(self) -> None:
        (self.folder / "groups/app/memory.events").write_text(f"oom {self.kills}\noom_kill {self.kills}\n")


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path)


@pytest.mark.parametrize(
    ("cgroup", "file"),
    [
        ("0::/system.slice/docker-1.scope", "system.slice/docker-1.scope/memory.events"),
        ("0::/system.slice/docker-1.scope", "memory.events"),
        ("0::/", "memory.events"),
        ("9:name=systemd:/docker/1\n4:cpu,memory:/docker/1", "memory/docker/1/memory.oom_control"),
        ("4:memory:/docker/1", "memory/memory.oom_control"),
        ("4:memory:/", "memory/memory.oom_control"),
    ],
)
def test_a_groups_own_count_is_found_and_decides(tmp_path: Path, cgroup: str, file: str) -> None:
    counts = tmp_path / "groups" / file
    watch = watch_over(tmp_path, cgroup=cgroup, counts=counts)
    (tmp_path / "proc/vmstat").write_text("oom_kill 8\n")
    assert not watch.explains(KILLED)
    counts.write_text("oom 3\noom_kill 3\n")
    assert watch.explains(KILLED)


def test_without_a_count_of_its_own_the_machines_decides(tmp_path: Path) -> None:
    watch = watch_over(tmp_path, cgroup="0::/", counts=tmp_path / "groups/memory.current")
    assert not watch.explains(KILLED)
    (tmp_path / "proc/vmstat").write_text("pgfault 1\noom_kill 8\n")
    assert watch.explains(KILLED)


def test_a_kernel_that_does_not_count_explains_nothing(tmp_path: Path) -> None:
    assert not MemoryWatch(proc=tmp_path / "proc", groups=tmp_path / "groups").explains(KILLED)


def test_a_kill_long_after_one_for_memory_is_a_kill(group: Group) -> None:
    explain = group.deaths.begin()
    group.kill_one()
    for _ in range(3):
        group.pass_time(5)
    assert explain(KILLED_STATUS).reason == pb.RUN_REASON_PROCESS_KILLED


def test_a_process_that_takes_its_time_to_be_gone_was_killed_for_memory_all_the_same(group: Group) -> None:
    explain = group.deaths.begin()
    group.pass_time(3600)
    group.kill_one()
    # Somebody looks between the kernel's kill and the end of the process.
    group.pass_time(5)
    told = explain(KILLED_STATUS)
    assert told.reason == pb.RUN_REASON_OUT_OF_MEMORY
    assert told.exit.is_out_of_memory


def test_each_step_is_held_against_the_count_at_its_own_start(group: Group) -> None:
    before = group.deaths.begin()
    group.kill_one()
    after = group.deaths.begin()
    assert after(KILLED_STATUS).reason == pb.RUN_REASON_PROCESS_KILLED
    # Of two that ended in one moment, the kernel names neither.
    assert before(KILLED_STATUS).reason == pb.RUN_REASON_OUT_OF_MEMORY
    group.kill_one()
    assert after(KILLED_STATUS).reason == pb.RUN_REASON_OUT_OF_MEMORY


def test_a_step_that_another_signal_ended_did_not_run_out_of_memory(group: Group) -> None:
    explain = group.deaths.begin()
    group.kill_one()
    assert explain(15).reason == pb.RUN_REASON_PROCESS_KILLED


def watch_over(tmp_path: Path, *, cgroup: str, counts: Path) -> MemoryWatch:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(f"{cgroup}\n")
    (proc / "vmstat").write_text("pgfault 1\noom_kill 7\n")
    counts.parent.mkdir(parents=True)
    counts.write_text("oom_kill 2\n" if "current" not in counts.name else "1")
    return MemoryWatch(proc=proc, groups=tmp_path / "groups")
