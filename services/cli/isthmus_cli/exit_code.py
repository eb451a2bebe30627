"""The exit codes that scripts rely on (docs/cli.md states them)."""

from enum import IntEnum

from isthmus_client.errors import ClientError, InvalidRequestError, NotFoundError, TransientError

from isthmus_cli.errors import InputError


class ExitCode(IntEnum):
    """What the command's end means."""

    OK = 0
    FAILED = 1
    INVALID = 2
    CANCELED = 3
    NOT_FOUND = 4
    UNAVAILABLE = 5
    #: 128 + SIGINT: the person stopped looking.
    INTERRUPTED = 130


def exit_code_of(error: ClientError) -> ExitCode:
    """Choose the exit code that tells a script what kind of error ended the command."""
    match error:
        case InputError() | InvalidRequestError():
            return ExitCode.INVALID
        case NotFoundError():
            return ExitCode.NOT_FOUND
        case TransientError():
            return ExitCode.UNAVAILABLE
        case _:
            return ExitCode.FAILED
