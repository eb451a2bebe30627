"""What every call does first with its request."""

from isthmus_control_plane.errors import InvalidRequestError, Violation

#: What an empty deployment or pool in a request stands for.
DEFAULT = "default"


def refuse(violations: list[Violation]) -> None:
    """Refuse a request that has faults.

    Raises:
        InvalidRequestError: Lists them all.
    """
    if violations:
        raise InvalidRequestError(violations)
