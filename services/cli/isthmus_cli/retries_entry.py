"""What a deployment's document says of runs that fail: `run_retries:`."""

from typing import Annotated, Any, Literal

from isthmus.v1.control_plane_pb2 import QueueSettings, RunRetries
from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=0, le=1_000, strict=True)]
_Seconds = Annotated[float, Field(ge=0, le=7 * 86_400, allow_inf_nan=False)]
#: What kinds of failures rules can tell apart.
_Class = Literal["step", "run", "worker", "start", "timeout", "internal"]


class RetriesEntry(BaseModel):
    """Rules for runs that fail; tags of runs go over them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool | None = None
    max_retries: _Count = 0
    retry_on_asset_or_op_failure: bool | None = None
    #: In place of `max_retries` for failures of a class.
    by_class: dict[_Class, _Count] = Field(default_factory=dict)
    #: The pause before the first retry, doubled before each of the next.
    backoff_s: _Seconds = 0.0
    max_backoff_s: _Seconds | None = None

    def to_message(self) -> RunRetries:
        """Build the contract's message."""
        return RunRetries(
            enabled=self.enabled,
            max_retries=self.max_retries,
            retry_on_asset_or_op_failure=self.retry_on_asset_or_op_failure,
            by_class={str(name): most for name, most in self.by_class.items()},
            backoff_s=self.backoff_s,
            max_backoff_s=self.max_backoff_s,
        )


def retries_document(settings: QueueSettings) -> dict[str, Any]:
    """Return the rules as the document that would set them; nothing where there are none."""
    said = settings.run_retries
    return {
        **({"enabled": said.enabled} if said.HasField("enabled") else {}),
        **({"max_retries": said.max_retries} if said.max_retries else {}),
        **(
            {"retry_on_asset_or_op_failure": said.retry_on_asset_or_op_failure}
            if said.HasField("retry_on_asset_or_op_failure")
            else {}
        ),
        **({"by_class": dict(sorted(said.by_class.items()))} if said.by_class else {}),
        **({"backoff_s": said.backoff_s} if said.backoff_s else {}),
        **({"max_backoff_s": said.max_backoff_s} if said.HasField("max_backoff_s") else {}),
    }
