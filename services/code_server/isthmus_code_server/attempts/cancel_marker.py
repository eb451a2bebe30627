"""The file that says, in an attempt's folder, that someone asked for the attempt to end, and why."""

from contextlib import suppress

from isthmus.v1.telemetry_pb2 import RunReason
from isthmus_spool.attempt_folder import AttemptFolder

_NAME = "cancel"


def request_cancel(folder: AttemptFolder, *, reason: "RunReason.ValueType") -> None:
    """Say that the attempt is to end; the first reason stands."""
    with suppress(FileExistsError), (folder.path / _NAME).open("x") as file:
        file.write(RunReason.Name(reason))


def is_cancel_requested(folder: AttemptFolder) -> bool:
    """Tell whether someone asked for the attempt to end."""
    return (folder.path / _NAME).exists()


def cancel_reason(folder: AttemptFolder) -> "RunReason.ValueType | None":
    """Return why the attempt was to end; None when nobody asked."""
    try:
        text = (folder.path / _NAME).read_text()
    except FileNotFoundError:
        return None
    # Empty when the writer died between making and filling the file.
    return RunReason.Value(text) if text else RunReason.RUN_REASON_CANCELED_BY_REQUEST
