"""The exit codes that scripts rely on (docs/cli.md states them)."""

from enum import IntEnum

from isthmus_client.errors import ClientError, InvalidRequestError, NotFoundError, TransientError

from isthmus_cli.errors import InputError


class ExitCode(IntEnum):
    """What the command's end means."""

    #: It worked; where a run was watched, it SUCCEEDED; where locations were applied, each of them serves.
    OK = 0
    #: It failed: the run FAILED, a location does not load, or the present state does not allow the call.
    FAILED = 1
    #: The input is wrong: an unknown option, an unreadable file, a request that is not accepted.
    INVALID = 2
    #: The run that was watched was CANCELED.
    CANCELED = 3
    #: What was named does not exist.
    NOT_FOUND = 4
    #: No control plane answers, no agent serves the location, or the answer did not come in time. Trying again may help.
    UNAVAILABLE = 5
    #: The person stopped looking with Ctrl-C: 128 + SIGINT.
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
