"""The file that says, in an attempt's folder, that someone asked for the attempt to end, and why."""

from contextlib import suppress

from isthmus.v1.telemetry_pb2 import RunReason
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.unfollowed import open_unfollowed

_NAME = "cancel"
#: More than any reason's name has, characters.
_LONGEST = 200
_REASONS = dict(RunReason.items())


def request_cancel(folder: AttemptFolder, *, reason: "RunReason.ValueType") -> None:
    """Say that the attempt is to end; the first reason stands."""
    with suppress(FileExistsError), (folder.path / _NAME).open("x") as file:
        file.write(RunReason.Name(reason))


def is_cancel_requested(folder: AttemptFolder) -> bool:
    """Tell whether someone asked for the attempt to end."""
    return (folder.path / _NAME).exists()


def cancel_reason(folder: AttemptFolder) -> "RunReason.ValueType | None":
    """Return why the attempt was to end; None when nobody asked, or user code has put anything else in the file's place."""
    try:
        with open(folder.path / _NAME, encoding="utf-8", errors="replace", opener=open_unfollowed) as file:
            text = file.read(_LONGEST)
    except OSError:
        return None
    # Empty when the writer died between making and filling the file.
    return _REASONS.get(text, RunReason.RUN_REASON_CANCELED_BY_REQUEST)
