"""What a person may have meant by a name that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches

#: More names than these are not listed.
_MOST_LISTED = 8


def meant(name: str, *, known: Iterable[str]) -> str:
    """Say which names are near one that is unknown, or which there are if they are few; empty where neither helps."""
    names = list(dict.fromkeys(known))
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {_listed(near, last='or')}?"
    if not names:
        return "there is none"
    if len(names) > _MOST_LISTED:
        return ""
    return f"there is only {names[0]!r}" if len(names) == 1 else f"there are {_listed(names, last='and')}"


def _listed(names: list[str], *, last: str) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
