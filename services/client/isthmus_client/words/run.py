"""What a run executes, and in one line why it ended as it did."""

from collections.abc import Callable, Sequence

from isthmus.v1.control_plane_pb2 import Run
from isthmus.v1.telemetry_pb2 import AssetKey, FieldViolation, RunReason

from isthmus_client.words.failure import failure_headline
from isthmus_client.words.value import asset_text, enum_text

#: Assets that are named before the others are counted.
_NAMED_ASSETS = 3


def target_text(run: Run) -> str:
    """Name what a run executes."""
    request = run.request
    if not request.asset_selection:
        return request.job_name
    text = assets_text(request.asset_selection)
    # The framework's own job for assets that are picked by hand says nothing.
    return text if request.job_name.startswith("__") else f"{request.job_name} ({text})"


def assets_text(keys: Sequence[AssetKey]) -> str:
    """Name assets; of many the first, and how many more there are."""
    named = ", ".join(asset_text(key) for key in keys[:_NAMED_ASSETS])
    more = len(keys) - _NAMED_ASSETS
    return f"{named} and {more} more" if more > 0 else named


def message_line(run: Run, *, worded: Callable[[FieldViolation], str]) -> str:
    """Tell the first line of what is said of a run's end, or of its waiting; empty when nothing is.

    Args:
        run: The run.
        worded: Words a fault of its request.
    """
    if run.message:
        text = run.message
    elif run.HasField("failure"):
        text = failure_headline(run.failure)
    else:
        text = "; ".join(worded(it) for it in run.violations)
    return text.strip().partition("\n")[0]


def reason_text(run: Run) -> str:
    """Name the reason of a run's end; empty when there is none."""
    return "" if not run.reason else enum_text(run.reason, descriptor=RunReason.DESCRIPTOR)
