"""Which runs a page shows, as its address says it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Final, Self
from urllib.parse import urlencode

from isthmus.v1.control_plane_pb2 import ListRunsQuery, RunState

from isthmus_console.errors import QueryError

_PREFIX: Final = "RUN_STATE_"
STATES: Final = tuple(name.removeprefix(_PREFIX).lower() for name in RunState.keys()[1:])
PAGE_SIZE: Final = 50


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """What the fields above the list of runs say; what is left empty does not restrict."""

    states: Sequence[str] = ()
    job: str = ""
    location: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    #: The page after the one that named it; empty for the newest runs.
    page: str = ""

    @classmethod
    def read(cls, pairs: Sequence[tuple[str, str]]) -> Self:
        """Read it from the pairs of an address.

        Raises:
            QueryError: Names the state or tag that is none, and what there is.
        """
        fields = {name: value.strip() for name, value in pairs}
        states = dict.fromkeys(_state(value) for name, value in pairs if name == "state" and value)
        tags = dict(_tag(value.strip()) for name, value in pairs if name == "tag" and value.strip())
        return cls(
            states=tuple(states),
            job=fields.get("job", ""),
            location=fields.get("location", ""),
            tags=tags,
            text=fields.get("text", ""),
            page=fields.get("page", ""),
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether there are runs that it leaves out."""
        return bool(self.states or self.job or self.location or self.tags or self.text)

    @property
    def query(self) -> str:
        """What stands behind the question mark of the page's address."""
        pairs = [
            *(("state", state) for state in self.states),
            *((name, value) for name, value in (("job", self.job), ("location", self.location)) if value),
            *(("tag", f"{key}={value}") for key, value in self.tags.items()),
            *((name, value) for name, value in (("text", self.text), ("page", self.page)) if value),
        ]
        return urlencode(pairs)

    def at(self, page: str) -> str:
        """Return the query of another page of the same runs."""
        return replace(self, page=page).query

    def message(self) -> ListRunsQuery:
        """Return the question for the control plane."""
        return ListRunsQuery(
            states=[RunState.Value(_PREFIX + state.upper()) for state in self.states],
            job_name=self.job,
            location=self.location,
            tags=self.tags,
            text=self.text,
            page_size=PAGE_SIZE,
            page_token=self.page,
        )


def _state(name: str) -> str:
    state = name.strip().lower()
    if state in STATES:
        return state
    near = get_close_matches(state, STATES, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise QueryError("state", value=name, remedy=f"{hint}There are: {', '.join(STATES)}.")


def _tag(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise QueryError("tag", value=text, remedy="Write a tag as key=value.")
    return key, value
