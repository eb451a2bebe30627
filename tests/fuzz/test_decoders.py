"""Whatever arrives, a decoder returns a message within bounds, or raises the one error that it declares."""

import gc
import tracemalloc
from collections.abc import Callable
from datetime import timedelta

import pytest
from google.protobuf.message import Message
from isthmus.v1.instance_pb2 import InstanceAnswer, QueryEnvelope
from isthmus.v1.instruction_pb2 import Instruction
from isthmus.v1.telemetry_pb2 import TelemetryBatch
from isthmus_broker.bounds import MAX_COUNT, MAX_DOUBLE, tame
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.instructions import decode_instruction
from isthmus_broker.notices import Notice
from isthmus_broker.queries import decode_answer, decode_query
from isthmus_broker.telemetry import decode_batch
from support.hostile import Hostile, every_number

pytestmark = pytest.mark.timeout(3600)

WORDS = ("default", "lab", "r1", "i1")

Decode = Callable[[bytes, str | None], Message]


def batch(body: bytes, encoding: str | None) -> Message:
    decoded = decode_batch(body, content_encoding=encoding)
    tame(decoded)
    return decoded


DECODERS: dict[str, tuple[type[Message], Decode]] = {
    "telemetry": (TelemetryBatch, batch),
    "instruction": (Instruction, lambda body, _: decode_instruction(body)),
    "query": (QueryEnvelope, lambda body, _: decode_query(body)),
    "answer": (InstanceAnswer, lambda body, encoding: decode_answer(body, content_encoding=encoding)),
}


def assert_bounded(message: Message) -> None:
    """Check every number in a message, by another way than the code does."""
    if message.DESCRIPTOR.full_name == "isthmus.v1.MetadataValue":
        return
    if message.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        moment = message.ToDatetime()  # type: ignore[attr-defined]
        assert moment + timedelta(days=366) > moment - timedelta(days=366)
    for field, value in message.ListFields():
        values = value.values() if hasattr(value, "values") else value if field.is_repeated else [value]
        for each in values:
            if isinstance(each, Message):
                assert_bounded(each)
            elif isinstance(each, float):
                assert 0 <= each <= MAX_DOUBLE, field.full_name
            elif isinstance(each, int):
                assert abs(each) <= MAX_COUNT, field.full_name


@pytest.mark.parametrize("name", DECODERS)
def test_every_number_of_every_message_is_brought_within_bounds(name: str) -> None:
    kind, decode = DECODERS[name]
    count = 0
    for path, message in every_number(kind):
        count += 1
        if isinstance(message, TelemetryBatch):
            message.source.deployment, message.source.agent = "default", "lab"
        if isinstance(message, Instruction):
            message.id, message.deployment, message.agent = "i1", "default", "lab"
        try:
            assert_bounded(decode(message.SerializeToString(), None))
        except (AssertionError, ValueError, OverflowError) as error:
            pytest.fail(f"{path}: {error}")
    assert count > 20


@pytest.mark.parametrize("name", DECODERS)
def test_hostile_bytes_are_decoded_or_refused(name: str, messages: int, seed: int) -> None:
    kind, decode = DECODERS[name]
    hostile = Hostile(seed, words=WORDS)
    decoded = refused = 0
    for _ in range(messages // 10):
        body, encoding = hostile.body(hostile.message(kind))
        try:
            assert_bounded(decode(body, encoding))
        except MalformedMessageError:
            refused += 1
        else:
            decoded += 1
    assert decoded > 50
    assert refused > 50


def test_hostile_notices_say_nothing_that_is_no_word(messages: int, seed: int) -> None:
    hostile = Hostile(seed, words=('{"runs": ["r1"]}', '{"runs": {"a": 1}}', '{"runs": 5}', "null", "[" * 100_000))
    for _ in range(messages // 20):
        body, _ = hostile.body(hostile.message(InstanceAnswer))
        for notice in (Notice.from_bytes(body), Notice.from_bytes(hostile.text().encode())):
            assert all(isinstance(word, str) for words in (notice.runs, notice.agents) for word in words)


def test_nothing_is_kept_of_what_was_refused(seed: int) -> None:
    hostile = Hostile(seed, words=WORDS)
    made = [hostile.body(hostile.message(TelemetryBatch)) for _ in range(300)]

    def decode_all() -> None:
        for body, encoding in made:
            try:
                batch(body, encoding)
            except MalformedMessageError:
                continue

    decode_all()
    gc.collect()
    tracemalloc.start()
    for _ in range(5):
        decode_all()
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 200_000
