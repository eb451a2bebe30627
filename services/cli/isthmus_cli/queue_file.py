"""The document that limits a deployment's queue, and says what becomes of runs that fail: `concurrency:`, `run_retries:`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings, TagLimit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import field_text, read_text, unknown_field_text
from isthmus_cli.retries_entry import RetriesEntry, retries_document
from isthmus_cli.timeouts_entry import TimeoutsEntry, timeouts_document
from isthmus_cli.yaml_text import parse_yaml

_Count = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
_REMEDY = "docs/queue.md has the document's form; isthmus queue show prints the limits of now in it."


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class TagEntry(_Entry):
    """A limit of runs with a tag."""

    key: str
    #: Left out for any value.
    value: str | None = None
    #: Count the runs of each value by themselves.
    per_value: bool = False
    limit: _Count

    @field_validator("value", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return str(value).lower() if isinstance(value, bool) else value


class PoolsEntry(_Entry):
    """Limits of pools."""

    #: Of each pool that has none of its own.
    default_limit: _Count | None = None
    limits: dict[str, _Count] = Field(default_factory=dict)
    #: Who holds a slot: a run, or a step while it runs.
    granularity: Literal["run", "op"] = "run"
    #: How many steps may wait for each pool before runs that would only wait stay in the queue.
    run_buffer: _Count = 0

    def to_limits(self) -> PoolLimits:
        """Build the contract's message."""
        # What is the default is left out: equal settings are equal messages.
        granularity = PoolLimits.GRANULARITY_OP if self.granularity == "op" else PoolLimits.GRANULARITY_UNSPECIFIED
        return PoolLimits(
            default_limit=self.default_limit,
            limits=self.limits,
            granularity=granularity,
            run_buffer=self.run_buffer,
        )


class ConcurrencyEntry(_Entry):
    """All limits of a deployment; what is left out is not limited."""

    max_runs: _Count | None = None
    locations: dict[str, _Count] = Field(default_factory=dict)
    tags: list[TagEntry] = Field(default_factory=list)
    pools: PoolsEntry = Field(default_factory=PoolsEntry)

    def to_settings(self) -> QueueSettings:
        """Build the contract's message."""
        return QueueSettings(
            max_runs=self.max_runs,
            locations=self.locations,
            tags=[TagLimit(key=it.key, value=it.value, per_value=it.per_value, limit=it.limit) for it in self.tags],
            pools=self.pools.to_limits(),
        )


class DocumentEntry(_Entry):
    """All that a document can say."""

    concurrency: ConcurrencyEntry | None = None
    run_retries: RetriesEntry | None = None
    run_timeouts: TimeoutsEntry | None = None

    def to_settings(self) -> QueueSettings:
        """Build the contract's message."""
        settings = (self.concurrency or ConcurrencyEntry()).to_settings()
        if self.run_retries is not None:
            settings.run_retries.CopyFrom(self.run_retries.to_message())
        if self.run_timeouts is not None:
            settings.run_timeouts.CopyFrom(self.run_timeouts.to_message())
        return settings


_PARTS: dict[str, type[BaseModel]] = {
    "concurrency": ConcurrencyEntry,
    "run_retries": RetriesEntry,
    "run_timeouts": TimeoutsEntry,
}
_SECTIONS: dict[str, type[BaseModel]] = {"tags": TagEntry, "pools": PoolsEntry}


def read_queue_file(path: Path) -> QueueSettings:
    """Read a document of limits.

    Raises:
        InputError: Names file, field and what to write instead.
    """
    text = read_text(path, remedy="Name a YAML file with `concurrency:`.")
    return parse_document(parse_yaml(text, origin=str(path)), origin=str(path))


def parse_sections(content: Any, *, origin: str) -> QueueSettings | None:
    """Return the settings that a file of a project, which may say more, has of the queue; None when it has none.

    Raises:
        InputError: Names origin, field and what to write instead.
    """
    said = {key: value for key, value in content.items() if key in _PARTS} if isinstance(content, dict) else {}
    return parse_document(said, origin=origin) if said else None


def parse_document(content: Any, *, origin: str) -> QueueSettings:
    """Turn a document's content into settings; what is under `concurrency:` may also stand alone.

    Raises:
        InputError: Names origin, field and what to write instead.
    """
    if not (isinstance(content, dict) and set(content) & set(_PARTS)):
        content = {"concurrency": content}
    try:
        return DocumentEntry.model_validate(content).to_settings()
    except ValidationError as error:
        faults = [_fault(fault["loc"], kind=fault["type"], text=fault["msg"]) for fault in error.errors()]
        raise InputError("\n".join([f"{origin} cannot be used:", *faults]), remedy=_REMEDY) from error


def settings_document(settings: QueueSettings) -> dict[str, Any]:
    """Return settings as the document that would set them."""
    parts = {"run_retries": retries_document(settings), "run_timeouts": timeouts_document(settings)}
    return {"concurrency": _limits_document(settings), **{name: part for name, part in parts.items() if part}}


def _limits_document(settings: QueueSettings) -> dict[str, Any]:
    pools: dict[str, Any] = {
        **({"default_limit": settings.pools.default_limit} if settings.pools.HasField("default_limit") else {}),
        **({"limits": dict(sorted(settings.pools.limits.items()))} if settings.pools.limits else {}),
        **({"granularity": "op"} if settings.pools.granularity == PoolLimits.GRANULARITY_OP else {}),
        **({"run_buffer": settings.pools.run_buffer} if settings.pools.run_buffer else {}),
    }
    tags = [
        {
            "key": it.key,
            **({"value": it.value} if it.HasField("value") else {}),
            **({"per_value": True} if it.per_value else {}),
            "limit": it.limit,
        }
        for it in settings.tags
    ]
    return {
        **({"max_runs": settings.max_runs} if settings.HasField("max_runs") else {}),
        **({"locations": dict(sorted(settings.locations.items()))} if settings.locations else {}),
        **({"tags": tags} if tags else {}),
        **({"pools": pools} if pools else {}),
    }


def _fault(path: tuple[int | str, ...], *, kind: str, text: str) -> str:
    part = _PARTS.get(str(path[0])) if len(path) > 1 else None
    if path[:1] == ("concurrency",):
        path = path[1:]
    field = field_text(path)
    if kind == "extra_forbidden":
        known = _entry_of(path, part=part).model_fields
        return f"  {field}: {unknown_field_text(str(path[-1]), known=known)}"
    if kind == "missing":
        return f"  {field}: is missing"
    return f"  {field or 'as a whole'}: {text}"


def _entry_of(path: tuple[int | str, ...], *, part: type[BaseModel] | None) -> type[BaseModel]:
    """Return what a faulty field stands in."""
    if part is None:
        return DocumentEntry
    return _SECTIONS.get(str(path[0]), part) if part is ConcurrencyEntry and len(path) > 1 else part
