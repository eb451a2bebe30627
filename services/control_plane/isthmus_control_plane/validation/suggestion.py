"""What a person may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

#: More names than this are not listed: the reader looks them up instead.
_MAX_LISTED = 8


def unknown(kind: str, *, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with near ones, or with all there are if they are few."""
    return f"unknown {kind} {name!r}; {meant(name, known=known)}"


def meant(name: str, *, known: Iterable[str]) -> str:
    """Say which names are near one that is unknown, or which there are if they are few."""
    names = sorted(set(known))
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {_listed(near)}?"
    if not names:
        return "there is none"
    if len(names) <= _MAX_LISTED:
        return f"there are {_listed(names, last='and')}" if len(names) > 1 else f"there is only {names[0]!r}"
    return f"none of the {len(names)} that exist has a name like it"


def _listed(names: list[str], *, last: str = "or") -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
