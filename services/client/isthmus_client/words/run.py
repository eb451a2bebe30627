"""What a run executes, and in one line why it ended as it did."""

from isthmus.v1.control_plane_pb2 import Run
from isthmus.v1.telemetry_pb2 import RunReason

from isthmus_client.words.value import asset_text, enum_text

_NAMED_ASSETS = 3


def target_text(run: Run) -> str:
    """Name what a run executes."""
    request = run.request
    if not request.asset_selection:
        return request.job_name
    assets = ", ".join(asset_text(key) for key in request.asset_selection[:_NAMED_ASSETS])
    more = len(request.asset_selection) - _NAMED_ASSETS
    text = f"{assets} and {more} more" if more > 0 else assets
    # The framework's own job for assets that are picked by hand says nothing.
    return text if request.job_name.startswith("__") else f"{request.job_name} ({text})"


def reason_text(run: Run) -> str:
    """Name the reason of a run's end; empty when there is none."""
    return "" if not run.reason else enum_text(run.reason, descriptor=RunReason.DESCRIPTOR)
