"""Tells who asks the instance: user code, or Dagster for itself."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

#: Dagster's modules that look up data versions on their own account, by the last part of their names. They can do without
#: an answer: an unknown data version is one that they know how to handle.
_OWN_ACCOUNT = frozenset({"data_version_cache"})
#: Dagster's module that looks up what a check has checked. It can do without an answer, but what is not told then is never
#: told: the answer is waited for as long as user code waits for one.
_OF_CHECK = frozenset({"asset_check_result"})
#: Dagster's module that looks at the run itself at its end, and its function that looks at it with each change of state.
_EXECUTOR = frozenset({"api"})
_ON_EVENT = frozenset({"handle_new_event"})
#: Dagster's function that brings records of many things at once.
_LOADERS = frozenset({"_blocking_batch_load"})


def is_on_own_account() -> bool:
    """Tell whether Dagster looks up data versions: then an outage must not fail the run, nor hold it up for long.

    The storages have one way in for both, so that the callers' names are all that there is to tell them apart.
    """
    return _is_asked_by(modules=_OWN_ACCOUNT)


def is_check_asking() -> bool:
    """Tell whether Dagster looks up what a check has checked: an outage must not fail the run, but may hold it up."""
    return _is_asked_by(modules=_OF_CHECK)


def is_loader_asking() -> bool:
    """Tell whether it is Dagster's own loader of records that asks, which reads no metadata."""
    return _is_asked_by(modules=frozenset(), functions=_LOADERS)


def is_executor_asking() -> bool:
    """Tell whether it is Dagster's own execution that looks at the run."""
    return _is_asked_by(modules=_EXECUTOR, functions=_ON_EVENT)


def _is_asked_by(*, modules: frozenset[str], functions: frozenset[str] = frozenset()) -> bool:
    """Look through the callers, from here to the first that is none of Dagster's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the only way to see who calls
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if not name.startswith(("dagster.", "isthmus_code_server.")):
            return False
        is_dagsters = name.startswith("dagster.")
        if is_dagsters and (name.rpartition(".")[2] in modules or frame.f_code.co_name in functions):
            return True
        frame = frame.f_back
    return False
