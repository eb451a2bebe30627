"""Errors that come in groups."""


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors within groups of errors, in their order."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]
