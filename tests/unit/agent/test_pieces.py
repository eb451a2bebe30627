"""Reports as messages: a small snapshot travels within, a large one in pieces before it."""

from hashlib import sha256

from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_SERVING,
    AssetKey,
    AssetSnapshot,
    Event,
    LocationReport,
    LocationSnapshot,
)
from isthmus_agent.locations.pieces import MAX_PIECES, PIECE_BYTES, WHOLE_SNAPSHOT_BYTES, in_pieces
from isthmus_store import snapshot_pieces


def report(size: int) -> Event:
    asset = AssetSnapshot(key=AssetKey(path=["a"]), description="x" * size)
    body = LocationReport(
        location="sales", phase=LOCATION_PHASE_SERVING, snapshot_hash="h", snapshot=LocationSnapshot(assets=[asset])
    )
    return Event(message="serves", location_report=body)


def test_a_small_snapshot_travels_within_its_report() -> None:
    event = report(WHOLE_SNAPSHOT_BYTES - 100)
    assert list(in_pieces(event)) == [event]


def test_a_large_snapshot_comes_before_its_report_in_pieces() -> None:
    event = report(WHOLE_SNAPSHOT_BYTES * 3)
    *pieces, last = in_pieces(event)
    whole = event.location_report.snapshot.SerializeToString(deterministic=True)
    told = [it.snapshot_piece for it in pieces]
    assert b"".join(it.data for it in told) == whole
    assert [(it.index, it.count) for it in told] == [(index, len(told)) for index in range(len(told))]
    assert {it.snapshot_hash for it in told} == {sha256(whole).hexdigest()}
    assert not last.location_report.HasField("snapshot")
    assert (last.message, last.location_report.snapshot_hash) == ("serves", "h")
    assert event.location_report.HasField("snapshot"), "a report that is sent again is whole"


def test_a_snapshot_that_nobody_can_store_is_left_out() -> None:
    (last,) = in_pieces(report(PIECE_BYTES * MAX_PIECES + 1))
    assert not last.location_report.HasField("snapshot")
    assert "more than can be stored" in last.message


def test_the_monitor_takes_what_an_agent_sends() -> None:
    assert snapshot_pieces.is_small_enough(PIECE_BYTES, count=MAX_PIECES)
    # Those of agents of earlier releases.
    assert snapshot_pieces.is_small_enough(2 * 1024**2, count=128)
    for size, count in ((0, 1), (PIECE_BYTES + 1, MAX_PIECES), (1, MAX_PIECES + 1), (2 * 1024**2 + 1, 1)):
        assert not snapshot_pieces.is_small_enough(size, count=count)
