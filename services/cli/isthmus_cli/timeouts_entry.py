"""What a deployment's document says of how long runs may take: `run_timeouts:`."""

from typing import Annotated, Any

from isthmus.v1.control_plane_pb2 import QueueSettings, RunTimeouts
from pydantic import BaseModel, ConfigDict, Field

_Seconds = Annotated[float, Field(ge=0, le=10 * 366 * 86_400, allow_inf_nan=False)]


class TimeoutsEntry(BaseModel):
    """How long stages of a run may take, seconds; 0 for as long as they take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_s: _Seconds = 0.0
    cancel_s: _Seconds = 0.0
    max_runtime_s: _Seconds = 0.0

    def to_message(self) -> RunTimeouts:
        """Build the contract's message."""
        return RunTimeouts(start_s=self.start_s, cancel_s=self.cancel_s, max_runtime_s=self.max_runtime_s)


def timeouts_document(settings: QueueSettings) -> dict[str, Any]:
    """Return the times as the document that would set them; nothing where there are none."""
    said = settings.run_timeouts
    allowed = {"start_s": said.start_s, "cancel_s": said.cancel_s, "max_runtime_s": said.max_runtime_s}
    return {name: value for name, value in allowed.items() if value}
