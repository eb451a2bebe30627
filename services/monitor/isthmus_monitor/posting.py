"""What is posted to a receiver, known without loading an HTTP client."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """What is posted where; all of it may hold secrets."""

    url: str = field(repr=False)
    body: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
