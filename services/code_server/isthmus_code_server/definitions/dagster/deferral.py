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

_PARTS = "__isthmus_deferral__"


@dataclass(frozen=True)
class Deferral:
    """A module to be deferred, and what it answers without being executed."""

    module: str
    #: For names that it only hands on: the module that defines them.
    handed_on: Mapping[str, str] = field(default_factory=dict)
    #: For names that stand in annotations only, which Python evaluates: what they mean.
    meanings: Mapping[str, object] = field(default_factory=dict)


def defer(deferrals: Iterable[Deferral]) -> None:
    """From now on, execute these modules at first use; one that was imported already stays as it is.

    Whoever uses a deferred module cannot tell: any attribute that it does not answer executes it, in place.
    """
    sys.meta_path.insert(0, _Finder({one.module: one for one in deferrals}))


# One for all: a lock for each module could be taken in two orders. As with importlib.util.LazyLoader, threads that
# import modules in a circle for the first time could still wait for each other.
_lock = threading.RLock()


class _DeferredModule(ModuleType):
    """Stands in sys.modules until it is used, then becomes the module itself; submodules can be imported before."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            # Asked of every module that a name is imported from; a package has it from the start.
            raise AttributeError(name)
        with _lock:
            deferral: Deferral | None = vars(self).get(_PARTS)
            if deferral is not None:
                if name in deferral.meanings:
                    return deferral.meanings[name]
                if name in deferral.handed_on:
                    return getattr(importlib.import_module(deferral.handed_on[name]), name)
                self._execute(deferral)
        # Now as of any module: its own, its own __getattr__'s, or none.
        return super().__getattribute__(name)

    def _execute(self, deferral: Deferral) -> None:
        # Taken away first: a circle of imports finds the module as it is at that moment, as it would have otherwise.
        del vars(self)[_PARTS]
        try:
            # "Reload" is importlib's word for executing a module in place.
            importlib.reload(self)
        except BaseException:
            vars(self)[_PARTS] = deferral
            raise


class _Finder(MetaPathFinder):
    """Finds deferred modules; asked before every other finder."""

    def __init__(self, deferrals: Mapping[str, Deferral]) -> None:
        self._deferrals = dict(deferrals)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module once by its deferral; when it is to be executed, the other finders find it."""
        del path, target
        deferral = self._deferrals.pop(fullname, None)
        spec = find_spec(fullname) if deferral is not None else None
        if deferral is None or spec is None:
            return None
        spec.loader = _Loader(deferral)
        return spec


class _Loader(Loader):
    """Makes the module without executing it."""

    def __init__(self, deferral: Deferral) -> None:
        self._deferral = deferral

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the stand-in."""
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Remember what is to be done later."""
        vars(module)[_PARTS] = self._deferral
