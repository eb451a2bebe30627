"""How a request that has faults is refused."""

from isthmus_control_plane.errors import InvalidRequestError, Violation


def refuse(violations: list[Violation]) -> None:
    """Refuse a request that has faults.

    Raises:
        InvalidRequestError: Lists them all.
    """
    if violations:
        raise InvalidRequestError(violations)
