"""Where the kernel's counts of memory kills are read, and against which earlier ones they are held."""

from pathlib import Path

import pytest
from isthmus_code_server.runs.ending import ChildExit
from isthmus_code_server.runs.memory import MemoryWatch

KILLED = ChildExit(exit_code=None, signal=9)


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


def watch_over(tmp_path: Path, *, cgroup: str, counts: Path) -> MemoryWatch:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(f"{cgroup}\n")
    (proc / "vmstat").write_text("pgfault 1\noom_kill 7\n")
    counts.parent.mkdir(parents=True)
    counts.write_text("oom_kill 2\n" if "current" not in counts.name else "1")
    return MemoryWatch(proc=proc, groups=tmp_path / "groups")
