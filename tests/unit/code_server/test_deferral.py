"""Modules that are executed when they are first used: nobody who uses one can tell."""

import importlib
import importlib.resources
import inspect
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
from isthmus_code_server.definitions.dagster.loaded.deferral import Deferral, defer

_PACKAGE = "postponed"
_FILES = {
    "__init__.py": "import sys\nsys.executed.append(__name__)\nfrom postponed.parts import Part, Shelf\nSIZE = 3\n",
    "parts.py": "import sys\nsys.executed.append(__name__)\nclass Part: ...\nclass Shelf: ...\n",
    "circle.py": "import sys\nsys.executed.append(__name__)\nFIRST = 1\nimport postponed.other\nSECOND = 2\n",
    "other.py": "import postponed.circle as circle\nKNOWN = (hasattr(circle, 'FIRST'), hasattr(circle, 'SECOND'))\n",
    "left.py": "import postponed.middle\nLEFT = 1\n",
    "middle.py": "import sys\nsys.meet()\nfrom postponed.right import RIGHT\n",
    "right.py": "RIGHT = 1\n",
    "data.txt": "some data",
    "asked.py": "def __getattr__(name):\n    if name == 'late':\n        return 'answered'\n    raise AttributeError(name)\n",
}


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A package of a few modules, which note here when they are executed."""
    folder = tmp_path / _PACKAGE
    folder.mkdir()
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    found: list[str] = []
    monkeypatch.setattr(sys, "executed", found, raising=False)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.syspath_prepend(tmp_path)
    yield found
    for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
        del sys.modules[name]


def _import(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_a_deferred_module_is_executed_at_its_first_use(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE)])
    module = _import(_PACKAGE)
    assert executed == []
    assert module.SIZE == 3
    assert module is sys.modules[_PACKAGE]
    assert executed == [_PACKAGE, "postponed.parts"]
    assert module.SIZE == 3
    assert executed == [_PACKAGE, "postponed.parts"]


def test_a_submodule_is_imported_without_its_deferred_package(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE)])
    parts = _import("postponed.parts")
    assert executed == ["postponed.parts"]
    assert _import(_PACKAGE).Part is parts.Part
    assert executed == ["postponed.parts", _PACKAGE]


def test_a_name_that_a_module_hands_on_comes_from_where_it_is_defined(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE, handed_on={"Part": "postponed.parts"})])
    namespace: dict[str, object] = {}
    exec("from postponed import Part", namespace)  # as a module would
    assert executed == ["postponed.parts"]
    assert namespace["Part"] is _import("postponed.parts").Part
    exec("from postponed import Shelf", namespace)
    assert executed == ["postponed.parts", _PACKAGE]


def test_a_meaning_is_given_until_the_module_is_executed(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE, meanings={"SIZE": int})])
    module = _import(_PACKAGE)
    assert module.SIZE is int
    assert executed == []
    assert module.Part is not None
    assert vars(module)["SIZE"] == 3


def test_what_a_module_does_not_have_it_does_not_have(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE), Deferral(module="postponed.parts")])
    with pytest.raises(AttributeError, match="module 'postponed' has no attribute 'nothing'"):
        _ = _import(_PACKAGE).nothing
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from postponed.parts import nothing")
    assert executed == [_PACKAGE, "postponed.parts"]


def test_a_modules_own_getattr_goes_on_working(executed: list[str]) -> None:
    assert executed == []
    defer([Deferral(module="postponed.asked")])
    asked = _import("postponed.asked")
    assert asked.late == "answered"
    assert not hasattr(asked, "later")


def test_a_circle_of_imports_finds_what_it_would_have_found(executed: list[str]) -> None:
    defer([Deferral(module="postponed.circle")])
    assert _import("postponed.circle").SECOND == 2
    assert _import("postponed.other").KNOWN == (True, False)
    assert executed.count("postponed.circle") == 1


def test_a_module_that_fails_fails_at_each_use(executed: list[str], tmp_path: Path) -> None:
    (tmp_path / _PACKAGE / "broken.py").write_text(
        "import sys\nsys.executed.append(__name__)\nraise OSError('no disk')\n"
    )
    defer([Deferral(module="postponed.broken")])
    broken = _import("postponed.broken")
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            _ = broken.anything
    assert executed.count("postponed.broken") == 2


def test_a_module_that_is_not_there_is_not_there(executed: list[str]) -> None:
    assert executed == []
    defer([Deferral(module="postponed.nowhere")])
    with pytest.raises(ModuleNotFoundError, match=r"postponed\.nowhere"):
        _import("postponed.nowhere")


def test_a_module_that_was_imported_already_stays_as_it_is(executed: list[str]) -> None:
    module = _import(_PACKAGE)
    defer([Deferral(module=_PACKAGE, meanings={"SIZE": int})])
    assert module.SIZE == _import(_PACKAGE).SIZE == 3
    assert executed == [_PACKAGE, "postponed.parts"]


def test_threads_that_use_a_module_at_once_all_have_it(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE)])
    module = _import(_PACKAGE)
    sizes: list[int] = []
    barrier = threading.Barrier(8)

    def use() -> None:
        barrier.wait()
        sizes.append(module.SIZE)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [3] * 8
    assert executed == [_PACKAGE, "postponed.parts"]


def test_what_is_replaced_in_a_module_stays_replaced(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE, handed_on={"Part": "postponed.parts"})])
    module = _import(_PACKAGE)
    with mock.patch("postponed.Part", new="fake"):
        assert module.SIZE == 3
        assert module.Part == "fake"
    assert module.Part is _import("postponed.parts").Part
    setattr(module, "SIZE", 4)  # noqa: B010  # as mock does
    assert _import(_PACKAGE).SIZE == 4
    assert executed == ["postponed.parts", _PACKAGE]


def test_what_is_deleted_from_a_module_stays_deleted(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE)])
    module = _import(_PACKAGE)
    delattr(module, "SIZE")
    assert not hasattr(module, "SIZE")
    assert executed == [_PACKAGE, "postponed.parts"]


def test_whoever_looks_a_module_over_finds_it_whole(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE), Deferral(module="postponed.parts")])
    assert "SIZE" in dir(_import(_PACKAGE))
    assert {name for name, _ in inspect.getmembers(_import("postponed.parts"), inspect.isclass)} == {"Part", "Shelf"}
    assert type(_import(_PACKAGE)) is ModuleType
    assert executed == [_PACKAGE, "postponed.parts"]


def test_a_module_is_pickled_by_its_name(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE)])
    module = _import(_PACKAGE)
    assert pickle.loads(pickle.dumps(module)) is module  # our own
    assert executed == []


def test_a_module_that_somebody_reloads_is_executed_once(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE), Deferral(module="postponed.parts")])
    module = importlib.reload(_import("postponed.parts"))
    assert module.Part is not None
    assert not hasattr(module, "nothing")
    assert executed == ["postponed.parts"]


def test_a_packages_files_are_found(executed: list[str]) -> None:
    defer([Deferral(module=_PACKAGE)])
    assert importlib.resources.files(_PACKAGE).joinpath("data.txt").read_text() == "some data"
    assert executed == []


def test_threads_that_meet_in_a_third_module_do_not_wait_for_each_other(
    executed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One executes a deferred module that imports `middle`, while the other imports `middle`, which uses a deferred one."""
    defer([Deferral(module=name) for name in (_PACKAGE, "postponed.left", "postponed.right")])
    left, is_in_middle, may_leave = _import("postponed.left"), threading.Event(), threading.Event()

    def meet() -> None:
        is_in_middle.set()
        may_leave.wait()

    monkeypatch.setattr(sys, "meet", meet, raising=False)
    first = threading.Thread(target=_import, args=["postponed.middle"], daemon=True)
    first.start()
    is_in_middle.wait()
    second = threading.Thread(target=lambda: executed.append(str(left.LEFT)), daemon=True)
    second.start()
    # Let go by whoever waits for `middle`: by then the second thread holds what it holds.
    threading.Timer(0.2, may_leave.set).start()
    second.join(timeout=30)
    first.join(timeout=30)
    assert executed == ["1"]
