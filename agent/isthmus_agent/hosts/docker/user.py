"""As whom a container runs: a pure decision."""

import re

_NUMBERS = re.compile(r"^(\d+)(?::(\d+))?$")


def user_for(wanted: str, *, agent: tuple[int, int]) -> str:
    """Return the user that a container is given; empty for the image's own.

    An agent that is not root can read what containers write only if they are the same user.
    """
    uid, gid = agent
    return wanted or ("" if uid == 0 else f"{uid}:{gid}")


def known_reader(user: str, *, agent: tuple[int, int]) -> tuple[int, int] | None:
    """Return the user and group by number of whom a file can be made the own; None when that cannot be told or done.

    Args:
        user: the container's, as the engine is told or the image has it; empty for root.
        agent: who the agent is: only root can give files away.
    """
    match = _NUMBERS.fullmatch(user or "0:0")
    if match is None:
        return None
    uid = int(match[1])
    reader = (uid, int(match[2] or uid))
    return reader if reader == agent or agent[0] == 0 else None
