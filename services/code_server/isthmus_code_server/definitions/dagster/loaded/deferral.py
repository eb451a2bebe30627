"""Modules that are imported by name only, and executed when something in them is first asked for."""

import importlib
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_STATE = "__isthmus_deferral__"


@dataclass(frozen=True, kw_only=True, slots=True)
class Deferral:
    """A module to be deferred, and what it answers without being executed."""

    module: str
    #: For names that it only hands on: the module that defines them.
    handed_on: Mapping[str, str] = field(default_factory=dict)
    #: For names that stand in annotations only, which Python evaluates: what they mean.
    meanings: Mapping[str, object] = field(default_factory=dict)


def defer(deferrals: Iterable[Deferral]) -> None:
    """From now on, execute these modules at first use; one that was imported already stays as it is.

    Whoever uses a deferred module cannot tell, unless he looks into its dictionary: whatever it does not answer executes
    it, in place, and from then on it is a module like any other.
    """
    sys.meta_path.insert(0, _Finder({one.module: one for one in deferrals}))


@dataclass(slots=True)
class _State:
    """What a deferred module has until it has been executed."""

    deferral: Deferral
    is_executing: bool = False
    # One for each module, as importlib.util.LazyLoader has: only threads that execute several of them for the first time,
    # in a circle, could wait for each other.
    lock: Any = field(default_factory=threading.RLock)


class _DeferredModule(ModuleType):
    """Stands in sys.modules until it is used; submodules can be imported before."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            # Asked of every module that a name is imported from; a package has it from the start.
            problem = f"module {self.__name__!r} has no attribute {name!r}"
            raise AttributeError(problem, name=name, obj=self)
        state: _State | None = vars(self).get(_STATE)
        if state is not None and not state.is_executing:
            if name in state.deferral.meanings:
                return state.deferral.meanings[name]
            if name in state.deferral.handed_on:
                return getattr(importlib.import_module(state.deferral.handed_on[name]), name)
        _execute(self)
        # Now as of any module: its own, its own __getattr__'s, or none.
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        is_import = name.startswith("__") or value is sys.modules.get(f"{self.__name__}.{name}")
        if not is_import:
            # Executed afterwards, it would undo what somebody replaces in it.
            _execute(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _execute(self)
        ModuleType.__delattr__(self, name)

    def __dir__(self) -> Iterable[str]:
        _execute(self)
        return ModuleType.__dir__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)


def _execute(module: ModuleType) -> None:
    """Let a module become itself, if it is not yet."""
    state: _State | None = vars(module).get(_STATE)
    if state is None:
        return
    with state.lock:
        if state.is_executing or _STATE not in vars(module):
            # Within a circle of imports it is what it is at that moment, as it would have been otherwise.
            return
        state.is_executing = True
        try:
            # "Reload" is importlib's word for executing a module in place.
            importlib.reload(module)
        finally:
            state.is_executing = False
        del vars(module)[_STATE]
        module.__class__ = ModuleType


class _Finder(MetaPathFinder):
    """Finds deferred modules; asked before every other finder."""

    def __init__(self, deferrals: Mapping[str, Deferral]) -> None:
        self._deferrals = dict(deferrals)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module once by its deferral; when it is to be executed, the other finders find it."""
        del path
        state: _State | None = vars(target).get(_STATE) if target is not None else None
        if target is not None and state is not None and not state.is_executing:
            # Somebody else reloads it, and thereby executes it.
            del vars(target)[_STATE]
        deferral = self._deferrals.pop(fullname, None)
        spec = find_spec(fullname) if deferral is not None else None
        if deferral is None or spec is None:
            return None
        spec.loader = _Loader(deferral, real=spec.loader)
        return spec


class _Loader(Loader):
    """Makes the module without executing it; is asked for its files, it passes that on to the loader that has them."""

    def __init__(self, deferral: Deferral, *, real: Loader | None) -> None:
        self._deferral = deferral
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the stand-in."""
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Remember what is to be done later."""
        vars(module)[_STATE] = _State(self._deferral)
