"""Cuts a location's report into what messages of the broker can hold: a large snapshot goes before it, in pieces."""

import hashlib
from collections.abc import Iterator
from typing import Final

from isthmus.v1 import telemetry_pb2 as telemetry

#: A snapshot up to this size travels within its report, bytes: so control planes that know of no pieces have it, too.
WHOLE_SNAPSHOT_BYTES: Final = 4 * 1024**2
#: A piece of a larger one, bytes: the monitor stores it while SQLite's other writers wait.
PIECE_BYTES: Final = 512 * 1024
#: The most pieces that the monitor takes.
MAX_PIECES: Final = 512


def in_pieces(event: telemetry.Event) -> Iterator[telemetry.Event]:
    """Give the messages that tell of a report, in their order; the report itself is the last."""
    report = event.location_report
    if report.snapshot.ByteSize() <= WHOLE_SNAPSHOT_BYTES:
        yield event
        return
    data = report.snapshot.SerializeToString(deterministic=True)
    bare = telemetry.Event()
    bare.CopyFrom(event)
    bare.location_report.ClearField("snapshot")
    starts = range(0, len(data), PIECE_BYTES)
    if len(starts) > MAX_PIECES:
        bare.message += f" Its definitions are told to nobody: they have {len(data)} bytes, more than can be stored."
    else:
        digest = hashlib.sha256(data).hexdigest()
        for index, start in enumerate(starts):
            piece = telemetry.SnapshotPiece(
                snapshot_hash=digest, index=index, count=len(starts), data=data[start : start + PIECE_BYTES]
            )
            yield telemetry.Event(occurred_at=event.occurred_at, snapshot_piece=piece)
    yield bare
