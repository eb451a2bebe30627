"""What policies are asked about: one thing that happened, or one state that lasts. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from isthmus_control_plane.validation.definition import AssetPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that happened, or one state that lasts."""

    kind: str
    deployment: str
    #: What it is about; facts of a kind about the same are told together.
    subject: str
    #: Tells it from others of its kind; a state, which is known by its subject, has none.
    occasion: str = ""
    #: A line for people that is true of all facts of the kind about the subject.
    topic: str
    text: str = ""
    at: datetime
    location: str = ""
    job: str = ""
    agent: str = ""
    schedule: str = ""
    sensor: str = ""
    asset: AssetPath = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    #: What a policy's threshold is compared with: seconds, runs, ticks, percent.
    value: float = 0.0
    #: For programs.
    data: Mapping[str, object] = field(default_factory=dict)


def digest(*parts: str) -> str:
    """Return a name of fixed length for some texts."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def dedup_of(policy: str, *, deployment: str, kind: str, subject: str) -> str:
    """Return by what receivers tell that messages of a policy are about the same."""
    return digest(deployment, policy, kind, subject)
