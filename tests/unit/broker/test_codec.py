"""Decoders take any bytes and raise one error."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1.instruction_pb2 import Instruction
from isthmus.v1.telemetry_pb2 import Event, Source, TelemetryBatch
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.instructions import decode_instruction
from isthmus_broker.notices import Notice
from isthmus_broker.telemetry import decode_batch, encode_batch

SOURCE = Source(deployment="default", agent="a")


@given(st.binary(max_size=400), st.sampled_from([None, "zstd", "gzip"]))
def test_any_bytes_decode_or_are_malformed(body: bytes, encoding: str | None) -> None:
    for decode in (decode_instruction, lambda data: decode_batch(data, content_encoding=encoding)):
        with contextlib.suppress(MalformedMessageError):
            assert decode(body).ByteSize() > 0


@given(st.integers(min_value=0, max_value=199))
def test_a_truncated_batch_is_malformed_or_shorter(cut: int) -> None:
    batch = TelemetryBatch(source=SOURCE, events=[Event(message="m" * 20) for _ in range(10)])
    body, _ = encode_batch(batch)
    with contextlib.suppress(MalformedMessageError):
        assert len(decode_batch(body[:cut], content_encoding=None).events) <= 10


def test_an_instruction_without_an_id_is_malformed() -> None:
    with pytest.raises(MalformedMessageError, match="'id'"):
        decode_instruction(Instruction(deployment="default", agent="a").SerializeToString())


def test_large_batches_travel_compressed_and_come_back_equal() -> None:
    batch = TelemetryBatch(source=SOURCE, events=[Event(message="the same again")] * 2000)
    body, encoding = encode_batch(batch)
    assert encoding == "zstd"
    assert len(body) < batch.ByteSize() / 10
    assert decode_batch(body, content_encoding=encoding) == batch


def test_events_of_a_newer_release_keep_their_bytes() -> None:
    newer = Event(message="m").SerializeToString() + b"\xaa\x3f\x03\x0a\x01\x78"  # field 1013, unknown today
    batch = TelemetryBatch(source=SOURCE, events=[Event.FromString(newer)])
    received = decode_batch(encode_batch(batch)[0], content_encoding=None).events[0]
    assert received.WhichOneof("body") is None
    assert received.SerializeToString() == newer


@given(st.binary(max_size=60))
def test_a_malformed_notice_says_nothing(body: bytes) -> None:
    Notice.from_bytes(body)


def test_notices_add_up() -> None:
    notice = Notice(runs=frozenset({"r"})) | Notice(agents=frozenset({"default/a"}))
    assert Notice.from_bytes(notice.to_bytes()) == notice
    assert not Notice()
