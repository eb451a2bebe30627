"""What importing left behind is judged: what a forked child would do without, and what it would wait for."""

from pathlib import Path

import pytest
from isthmus_code_server.kernel.memory_room import RESERVE_BYTES, has_room_for_another
from isthmus_code_server.kernel.thread_owners import OtherThread
from isthmus_code_server.zygote.fork_safety import Remains, reasons_against
from isthmus_code_server.zygote.starting import choose
from isthmus_code_server.zygote.wire import StartChoice, StartMethod

_PACKAGES = "/venv/lib/python3.11/site-packages"
OPENBLAS = OtherThread(name="python", is_python=False, library=f"{_PACKAGES}/numpy.libs/libscipy_openblas64_-3a.so")
HARMLESS = [
    OPENBLAS,
    OtherThread(name="python", is_python=False, library=f"{_PACKAGES}/pyarrow/libarrow.so.2600"),
    OtherThread(name="python", is_python=False, library=f"{_PACKAGES}/numexpr/interpreter.cpython-311.so"),
    OtherThread(name="jemalloc_bg_thd", is_python=False, library=f"{_PACKAGES}/_polars_runtime.abi3.so"),
    OtherThread(name="polars-ooc-clea", is_python=False, library=f"{_PACKAGES}/_polars_runtime.abi3.so"),
]


def test_threads_that_start_anew_in_a_child_speak_against_nothing() -> None:
    assert reasons_against(Remains(threads=HARMLESS)) == []


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (f"{_PACKAGES}/_polars_runtime_64/_polars_runtime.abi3.so", "polars"),
        (f"{_PACKAGES}/scikit_learn.libs/libgomp-e985bcbb.so.1.0.0", "OpenMP"),
        (f"{_PACKAGES}/grpc/_cython/cygrpc.cpython-311.so", "gRPC"),
        (f"{_PACKAGES}/somebody/_native.so", "somebody"),
        ("/opt/vendor/libpool.so.2", "libpool.so.2"),
        ("", "an unknown one"),
    ],
)
def test_any_other_thread_does_and_its_library_is_named(library: str, said: str) -> None:
    worker = OtherThread(name="worker-0", is_python=False, library=library)
    (reason,) = reasons_against(Remains(threads=[*HARMLESS, worker]))
    assert said in reason


def test_what_is_said_is_the_same_however_many_workers_there_are() -> None:
    pools = [[OtherThread(name=f"pool-{n}", is_python=True) for n in range(count)] for count in (2, 5)]
    assert reasons_against(Remains(threads=pools[0])) == reasons_against(Remains(threads=pools[1]))


def test_connections_and_event_loops_speak_against_a_fork() -> None:
    assert len(reasons_against(Remains(connections=["10.0.0.1:5432"], has_event_loop=True))) == 2


def test_who_is_unsure_spawns() -> None:
    def refused() -> Remains:
        raise PermissionError(13, "Permission denied")

    assert choose(StartMethod.AUTO, look=refused).choice.method is StartMethod.SPAWN
    hanging = choose(
        StartMethod.AUTO, look=lambda: Remains(threads=[OPENBLAS]), try_out=lambda: "a forked process waits for ever"
    )
    assert hanging.choice.method is StartMethod.SPAWN
    assert "waits for ever" in hanging.warnings[0]


def test_the_location_has_the_last_word() -> None:
    worker = OtherThread(name="worker", is_python=True)
    forked = choose(StartMethod.FORK, look=lambda: Remains(threads=[worker]))
    assert forked.choice.method is StartMethod.FORK
    assert "worker" in forked.warnings[0]
    assert choose(StartMethod.SPAWN, look=Remains).choice.method is StartMethod.SPAWN


def test_a_choice_travels_whole() -> None:
    choice = StartChoice(method=StartMethod.SPAWN, why="threads: a, b")
    assert StartChoice.decode(choice.encode()) == choice


@pytest.mark.parametrize(("limit_mib", "has_room"), [(4096, True), (1024, False)])
def test_a_control_group_without_room_keeps_no_process_waiting(
    tmp_path: Path, limit_mib: int, *, has_room: bool
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("VmRSS:\t 512000 kB\n")
    (tmp_path / "self/cgroup").write_text("0::/\n")
    (tmp_path / "meminfo").write_text("MemAvailable:  16000000 kB\n")
    (tmp_path / "memory.max").write_text(f"{limit_mib * 1024**2}\n")
    (tmp_path / "memory.current").write_text(f"{700 * 1024**2}\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 104857600\n")
    assert has_room_for_another(proc=tmp_path, groups=tmp_path) is has_room
    assert RESERVE_BYTES < 512 * 1024**2
