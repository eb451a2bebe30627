"""Numbers from outside are brought within bounds in which Python, AMQP and the databases can calculate."""

import math
from datetime import timedelta

import pytest
from aio_pika import Message
from isthmus.v1.instance_pb2 import InstanceQuery, QueryEnvelope
from isthmus.v1.instruction_pb2 import FetchLogs, Instruction, LocationSpec, LogCursor, SyncLocations
from isthmus.v1.telemetry_pb2 import (
    AgentHeartbeat,
    AssetMaterialized,
    Event,
    LocationReport,
    LocationSnapshot,
    MetadataEntry,
    MetadataValue,
    PartitionsSnapshot,
    Source,
    StepUpForRetry,
    TelemetryBatch,
)
from isthmus_broker.bounds import MAX_COUNT, MAX_DURATION_S, tame, tamers_of
from isthmus_broker.compression import MAX_BODY_BYTES, compress, decompress
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.instructions import decode_instruction
from isthmus_broker.publisher import life_in_queue
from isthmus_broker.queries import decode_query
from isthmus_broker.scan import has_more_than
from isthmus_broker.telemetry import MAX_EVENTS, decode_batch
from zstandard import ZstdCompressionParameters, ZstdCompressor

SOURCE = Source(deployment="default", agent="a")


def test_counts_leave_room_for_sums() -> None:
    event = Event(seq=2**64 - 1, agent_heartbeat=AgentHeartbeat(desired_revision=2**63 - 1))
    tame(event)
    assert event.seq == event.agent_heartbeat.desired_revision == MAX_COUNT


def test_moments_beyond_the_calendar_become_dates_with_room_on_both_sides() -> None:
    for seconds in (2**63 - 1, -(2**63), 1_790_000_000_000):
        event = Event()
        event.occurred_at.seconds, event.occurred_at.nanos = seconds, -5
        tame(event)
        moment = event.occurred_at.ToDatetime()
        assert moment + timedelta(days=366) > moment - timedelta(days=366)


def test_what_is_within_bounds_keeps_its_bytes() -> None:
    snapshot = LocationSnapshot()
    snapshot.jobs.add(name="nightly").partitions.start.FromJsonString("1900-01-01T00:00:00Z")
    event = Event(seq=7, location_report=LocationReport(generation=3, snapshot=snapshot))
    before = event.SerializeToString(deterministic=True)
    tame(event)
    assert event.SerializeToString(deterministic=True) == before
    assert not event.HasField("occurred_at")


def test_numbers_in_lists_maps_and_choices_are_found() -> None:
    inner = PartitionsSnapshot()
    inner.end.seconds = 2**60
    report = LocationReport(snapshot=LocationSnapshot())
    report.snapshot.assets.add().partitions.dimensions["day"].CopyFrom(inner)
    tame(report)
    assert report.snapshot.assets[0].partitions.dimensions["day"].end.ToDatetime().year < 9999

    retry = Event(step_up_for_retry=StepUpForRetry(wait_s=math.inf))
    tame(retry)
    assert retry.step_up_for_retry.wait_s == MAX_DURATION_S


def test_metadata_stays_as_user_code_said_it() -> None:
    entry = MetadataEntry(label="loss", value=MetadataValue(float=math.inf))
    event = Event(asset_materialized=AssetMaterialized(metadata=[entry]))
    tame(event)
    assert event.asset_materialized.metadata[0].value.float == math.inf


def test_kinds_of_events_without_numbers_cost_nothing() -> None:
    tamers = tamers_of(Event.DESCRIPTOR, oneof="body")
    assert "agent_heartbeat" in tamers
    assert "step_succeeded" in tamers
    assert "log_message" not in tamers
    assert "asset_materialized" not in tamers


def test_every_decoder_of_rare_messages_tames() -> None:
    spec = LocationSpec(name="l", generation=2**64 - 1, idle_ttl_s=math.nan)
    sync = Instruction(id="i", deployment="d", agent="a", sync_locations=SyncLocations(locations=[spec]))
    decoded = decode_instruction(sync.SerializeToString()).sync_locations.locations[0]
    assert (decoded.generation, decoded.idle_ttl_s) == (MAX_COUNT, 0.0)

    logs = Instruction(id="i", deployment="d", agent="a", fetch_logs=FetchLogs(wait_s=-1e308))
    logs.fetch_logs.cursors.append(LogCursor(offset=2**64 - 1))
    decoded_logs = decode_instruction(logs.SerializeToString()).fetch_logs
    assert (decoded_logs.wait_s, decoded_logs.cursors[0].offset) == (0.0, MAX_COUNT)

    query = QueryEnvelope(query=InstanceQuery(timeout_s=math.nan))
    assert decode_query(query.SerializeToString()).query.timeout_s == 0.0


@pytest.mark.parametrize("expires_in_s", [math.nan, math.inf, -3.0, 1e308])
def test_no_life_in_a_queue_makes_the_broker_close_the_channel(expires_in_s: float) -> None:
    life = life_in_queue(expires_in_s)
    assert life is not None
    assert 0 <= int(Message(b"", expiration=life).properties.expiration or -1) < 2**32


# ------------------------------------------------------------------------------------------------------------- unfolding


def frame_of(size: int, *, states_its_size: bool) -> bytes:
    parameters = ZstdCompressionParameters.from_level(3, write_content_size=states_its_size)
    return ZstdCompressor(compression_params=parameters).compress(bytes(size))


@pytest.mark.parametrize("states_its_size", [True, False])
def test_a_bomb_is_malformed_and_never_unfolded(*, states_its_size: bool) -> None:
    bomb = frame_of(MAX_BODY_BYTES + 1, states_its_size=states_its_size)
    assert len(bomb) < 50_000
    with pytest.raises(MalformedMessageError):
        decompress(bomb, content_encoding="zstd", expected="a test")


def test_a_body_that_was_compressed_unfolds_whether_or_not_it_states_its_size() -> None:
    body, encoding = compress(b"again" * 10_000)
    assert decompress(body, content_encoding=encoding, expected="a test") == b"again" * 10_000
    unstated = frame_of(100_000, states_its_size=False)
    assert decompress(unstated, content_encoding="zstd", expected="a test") == bytes(100_000)


def test_more_events_than_the_bound_are_refused_before_they_are_parsed() -> None:
    events = b"\x12\x00" * (MAX_EVENTS + 1)
    body = TelemetryBatch(source=SOURCE).SerializeToString() + events
    with pytest.raises(MalformedMessageError, match="events"):
        decode_batch(body, content_encoding=None)
    assert len(decode_batch(body[:-2], content_encoding=None).events) == MAX_EVENTS


@pytest.mark.parametrize("tail", [b"\xff" * 30, b"\x0b", b"\x12\x7f", b"\x08" + b"\x80" * 12, b""])
def test_looking_over_bytes_that_are_no_message_finds_nothing(tail: bytes) -> None:
    assert not has_more_than(3, field=2, body=b"\x0a\x04abcd" * 2 + tail)
