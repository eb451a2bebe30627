"""Completes a storage that answers little: what it leaves abstract refuses and says so."""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from isthmus_code_server.errors import UnsupportedInstanceCallError

T = TypeVar("T")


def refuse_the_rest(storage: Callable[..., T], *, of: type) -> Callable[..., T]:
    """Return a maker of a concrete class in which every method that is still abstract raises UnsupportedInstanceCallError.

    Which methods a Dagster storage has depends on Dagster's version; naming them would tie the code to one.

    Args:
        storage: The class with everything that is supported.
        of: The port, whose name stands in the error.
    """
    base: Any = storage
    missing: frozenset[str] = getattr(base, "__abstractmethods__", frozenset())
    members: dict[str, object] = {name: _refusal(f"{of.__name__}.{name}", member=getattr(of, name)) for name in missing}
    complete: Callable[..., T] = type(of.__name__, (base,), members)
    return complete


def _refusal(name: str, *, member: object) -> Callable[..., Any] | property:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise UnsupportedInstanceCallError(name)

    return property(refuse) if isinstance(member, property) else refuse
