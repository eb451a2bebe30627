"""Failures as pages show them: the chain of causes, each with its frames, the framework's folded away. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.v1.telemetry_pb2 import Failure
from isthmus_client.words.failure import CAUSED, DURING, failure_chain, failure_headline, grouped_frames, tells_where

from isthmus_console.view.metadata import MetadataView, metadata_views


@dataclass(frozen=True)
class FrameGroup:
    """Frames that follow each other."""

    text: str
    count: int
    #: They are the framework's, while others tell where the user's own code was: shown when somebody asks for them.
    is_folded: bool


@dataclass(frozen=True)
class FailureLink:
    """One failure of a chain."""

    headline: str
    #: What its message says beyond the first line.
    rest: str
    frames: Sequence[FrameGroup]
    views: Sequence[MetadataView]
    #: What leads on to the next link; empty for the last, which is the failure itself.
    then: str


def failure_links(failure: Failure) -> list[FailureLink]:
    """Return a failure with those behind it, the first that happened first."""
    is_short = tells_where(failure)
    chain = list(failure_chain(failure))
    return [
        _link(each, then=_then(chain[place + 1 : place + 2]), is_short=is_short) for place, each in enumerate(chain)
    ]


def _link(failure: Failure, *, then: str, is_short: bool) -> FailureLink:
    rest = failure.message.strip().partition("\n")[2]
    if failure.description and failure.description != failure.message:
        rest = "\n".join(part for part in (rest, failure.description) if part)
    frames = [
        FrameGroup("\n".join(frame.rstrip("\n") for frame in group), len(group), is_folded=is_framework and is_short)
        for is_framework, group in grouped_frames(failure.stack)
    ]
    return FailureLink(failure_headline(failure), rest, frames, metadata_views(failure.metadata), then)


def _then(following: Sequence[Failure]) -> str:
    if not following:
        return ""
    return CAUSED if following[0].HasField("cause") else DURING
