"""A run's id, and the beginning of it that a person types. Without the contract, which help and completion do without."""

import re

_WHOLE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: Digits of an id that tell a run from all others, but for a great chance.
_BRIEF = 8


def is_whole_id(name: str) -> bool:
    """Tell whether a name is a run's whole id."""
    return bool(_WHOLE.fullmatch(name))


def brief_id(run_id: str) -> str:
    """Return the beginning of an id, as a person would type it."""
    return run_id[:_BRIEF] if is_whole_id(run_id) else run_id
