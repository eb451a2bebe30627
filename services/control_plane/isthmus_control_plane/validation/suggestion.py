"""What a person may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches

#: More names than this are not listed: the reader looks them up instead.
_MAX_LISTED = 8


def unknown(kind: str, *, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with near ones, or with all there are if they are few."""
    names = sorted(set(known))
    text = f"unknown {kind} {name!r}"
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"{text}; did you mean {_listed(near)}?"
    if not names:
        return f"{text}; there is none"
    if len(names) <= _MAX_LISTED:
        return f"{text}; there are {_listed(names)}" if len(names) > 1 else f"{text}; there is only {names[0]!r}"
    return f"{text}; none of the {len(names)} that exist has a name like it"


def _listed(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
