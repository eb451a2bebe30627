"""As whom a container runs: a pure decision."""

import re
from dataclasses import dataclass

_NUMBERS = re.compile(r"^(\d+)(?::(\d+))?$")


@dataclass(frozen=True)
class Users:
    """Who the agent is, and what the engine makes of numbers of users."""

    #: The agent's user and group.
    uid: int
    gid: int
    #: Whether root in a container is the engine's own user outside.
    is_rootless: bool = False
    #: Whether users have other numbers outside their containers.
    are_mapped: bool = False

    def user_for(self, wanted: str) -> str:
        """Return the user that a container is given; empty for the image's own.

        An agent that is not root can read what containers write only if they are the same user.
        """
        if wanted or self.uid == 0:
            return wanted
        return "0:0" if self.is_rootless else f"{self.uid}:{self.gid}"

    def reader_for(self, user: str) -> tuple[int, int] | None:
        """Return the user and group of whom a file can be made the own; None when that cannot be told or done.

        Args:
            user: the container's, as the engine is told or the image has it; empty for root.
        """
        match = _NUMBERS.fullmatch(user or "0:0")
        if match is None or self.are_mapped:
            return None
        reader = (int(match[1]), int(match[2] or match[1]))
        # Only root gives files away.
        return reader if self.uid == 0 or reader == (self.uid, self.gid) else None
