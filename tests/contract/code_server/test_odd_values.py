"""Values that no reader expects: each is told, and none costs the event or its neighbours."""

import json
import math
from typing import Any

import dagster as dg
import pytest
from dagster import MetadataValue as Value
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.dagster.asked.rebuild_metadata import value_of
from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
from isthmus_code_server.definitions.dagster.values.metadata import MAX_RECORDS, metadata_entries, metadata_value
from isthmus_code_server.definitions.dagster.values.plain import decimal_text, decimal_value, json_text

HUGE = 10**9_999 + 7


def hex_digits(value: int) -> str:
    # A name in decimal is what Python refuses.
    return f"{value:x}"[:20]


@pytest.mark.parametrize("value", [HUGE, -HUGE, 2**64, -(2**64), 10**600, 10**1200 - 1], ids=hex_digits)
def test_a_long_integer_goes_there_and_back(value: int) -> None:
    told = metadata_value(Value.int(value))
    assert told.WhichOneof("value") == "big_int"
    assert decimal_value(told.big_int) == value
    assert value_of(told).value == value


def test_decimals_are_as_python_writes_them() -> None:
    for value in (0, 1, -1, 10**599, 10**600, -(10**601) + 1, 12345 * 10**1000):
        assert decimal_text(value) == str(value)
    for text in ("", "-", "1.0", "٣", "x"):
        with pytest.raises(ValueError, match=r"^$"):
            decimal_value(text)


def test_an_integer_beyond_all_use_is_told_by_its_size() -> None:
    assert metadata_value(2**1_000_000).text == "<an integer of 1000001 bits>"


def deep(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


def circle() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"n": math.nan, "i": math.inf, "m": -math.inf}, {"n": "nan", "i": "inf", "m": "-inf"}),
        ({2: "a", None: "b", True: "c", 1.5: "d"}, {"2": "a", "true": "c", "null": "b", "1.5": "d"}),
        ({"big": 10**5000, "small": 10**400}, {"big": "1" + "0" * 5000, "small": 10**400}),
        ({"half": "\ud800"}, {"half": "\\ud800"}),
        (circle(), {"self": "<a circle>"}),
        ({("a", "b"): 1}, {"<tuple>": 1}),
    ],
    ids=["no numbers", "keys", "long integer", "half a character", "circle", "key of no text"],
)
def test_json_is_json_whatever_is_in_it(value: Any, told: Any) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(json_text(value), parse_constant=refuse, parse_int=decimal_value) == told


def test_json_is_bounded_in_depth_and_number() -> None:
    assert "<nested too deeply>" in json_text(deep(100_000))
    twice: Any = "leaf"
    for _ in range(40):
        twice = [twice, twice]
    assert len(json_text(twice)) < 10_000_000
    assert json_text(list(range(300_000))).endswith(' more>"]')


@pytest.mark.parametrize("seconds", [1.7e12, 1e18, -1e18, math.nan, math.inf])
def test_a_timestamp_of_no_calendar_is_carried_as_it_is(seconds: float) -> None:
    told = metadata_value(Value.timestamp(seconds)).timestamp
    assert told == seconds or (math.isnan(told) and math.isnan(seconds))


def test_a_table_of_many_rows_is_told_in_part() -> None:
    schema = dg.TableSchema([dg.TableColumn("n", "int")])
    records = [dg.TableRecord({"n": number}) for number in range(MAX_RECORDS + 5)]
    table = metadata_value(Value.table(records, schema=schema)).table
    assert (len(table.records), table.records_left_out) == (MAX_RECORDS, 5)


class Broken(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError


def test_a_value_that_cannot_be_told_costs_nothing_but_itself() -> None:
    lines = dg.CodeReferencesMetadataValue(
        code_references=[dg.LocalFileCodeReference(file_path="a", line_number=-5, label=None)]
    )
    first, second, third = metadata_entries({"a": lines, "b": 2, "c": Broken()})
    assert first.value.opaque == pb.OpaqueValue(type_name="CodeReferencesMetadataValue")
    assert second.value.int == 2
    assert third.value.json == '"<Broken>"'


def test_a_long_chain_of_causes_is_told_from_its_end() -> None:
    error: Exception = ValueError("first")
    for number in range(3000):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    try:
        raise error
    except ValueError as raised:
        failure = failure_from_exception(raised)
    assert failure.message == "2999"
    assert failure.SerializeToString()
