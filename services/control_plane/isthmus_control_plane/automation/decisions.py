"""What a sensor of automation decided, from its answer to the rows that keep it. Pure."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.telemetry_pb2 import AutomationDecision, AutomationDecisions
from isthmus_store.evaluations import NewEvaluation
from isthmus_store.fact import MAX_NAMES_BYTES, asset_text
from isthmus_store.wire import storable

#: Bytes that the decisions of one tick may have once they are no longer compressed.
MAX_BYTES: Final = 64 * 1024 * 1024
_MOST_COUNT: Final = 2**53


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """The decisions of one tick, read."""

    decisions: tuple[AutomationDecision, ...] = ()
    #: By the hashes of their bytes.
    trees: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedAt:
    """Who decided, and when."""

    deployment: str
    location: str
    sensor: str
    tick_id: int
    at: datetime


def read(compressed: bytes) -> Decided:
    """Read the decisions of an answer. What cannot be read is nothing: runs and cursor do not depend on it."""
    if not compressed:
        return Decided()
    try:
        reader = zlib.decompressobj()
        body = reader.decompress(compressed, MAX_BYTES)
        told = AutomationDecisions.FromString(body) if reader.eof else AutomationDecisions()
    except (zlib.error, DecodeError):
        return Decided()
    trees = {
        sha256(body).hexdigest(): body for tree in told.trees if (body := tree.SerializeToString(deterministic=True))
    }
    kept = tuple(it for it in told.decisions if it.tree_sha256 in trees and _is_usable(it))
    return Decided(decisions=kept, trees=tuple(sorted(trees.items())))


def _is_usable(it: AutomationDecision) -> bool:
    size = len(asset_text(it.asset.path)) + len(it.check_name.encode())
    return bool(it.asset.path) and size <= MAX_NAMES_BYTES and it.requested.count <= _MOST_COUNT


def rows(decided: Decided, *, by: DecidedAt) -> list[NewEvaluation]:
    """Return what is written of decisions."""
    return [
        NewEvaluation(
            deployment=by.deployment,
            asset=asset_text(it.asset.path),
            check_name=storable(it.check_name),
            location=by.location,
            sensor=by.sensor,
            tick_id=by.tick_id,
            at=by.at,
            requested=it.requested.count,
            tree_sha256=it.tree_sha256,
            body=AutomationDecision(nodes=it.nodes, requested=it.requested).SerializeToString(),
        )
        for it in decided.decisions
    ]
