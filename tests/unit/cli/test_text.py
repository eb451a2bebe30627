"""Small values as people read them."""

import math
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.telemetry_pb2 import AssetKey, Failure, MetadataEntry, MetadataValue, OpaqueValue, Table, TableRecord
from isthmus_cli.view.failure import failure_headline, failure_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import (
    age_text,
    clock_text,
    columns,
    count_text,
    duration_text,
    metadata_text,
    moment_text,
    size_text,
    value_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.0042, "4 ms"),
        (1.25, "1.2 s"),
        (59.94, "59.9 s"),
        (65, "1 min 05 s"),
        (7_384, "2 h 03 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_a_duration_has_about_three_digits(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("ago", "text"), [(-5, "0 s ago"), (59, "59 s ago"), (3599, "59 min ago"), (90_000, "1 d ago")]
)
def test_an_age_has_one_unit(ago: int, text: str) -> None:
    now = datetime(2030, 1, 31, tzinfo=UTC)
    assert age_text(Timestamp(seconds=int(now.timestamp()) - ago), now=now) == text


def test_never_is_a_dash() -> None:
    assert age_text(None) == age_text(Timestamp()) == "-"


def test_metadata_is_one_line_and_long_values_are_cut() -> None:
    entries = [
        MetadataEntry(label="rows", value=MetadataValue(int=3)),
        MetadataEntry(label="text", value=MetadataValue(markdown="a\n\nb")),
        MetadataEntry(label="of", value=MetadataValue(asset=AssetKey(path=["x", "y"]))),
        MetadataEntry(label="table", value=MetadataValue(table=Table(records=[TableRecord()]))),
        MetadataEntry(label="none", value=MetadataValue(null=True)),
        MetadataEntry(label="long", value=MetadataValue(text="x" * 500)),
    ]
    text = metadata_text(entries)
    assert text.startswith("rows=3  text=a b  of=x/y  table=<table of 1 row>  none=null  long=xxx")
    assert len(text) < 200


def test_columns_are_aligned_by_what_is_seen() -> None:
    paint = Paint(is_colored=True)
    lines = columns(("A", "B"), [(paint.red("long"), "1"), ("x", "2")])
    assert lines == ["A     B", f"{paint.red('long')}  1", "x     2"]


def test_plurals() -> None:
    assert [count_text(1, "step"), count_text(2, "step"), count_text(2, "batch")] == ["1 step", "2 steps", "2 batches"]


def test_a_failure_reads_as_python_prints_it() -> None:
    first = Failure(error_class="KeyError", message="'a'", stack=['  File "x.py", line 1, in f\n    d["a"]\n'])
    second = Failure(error_class="RuntimeError", message="broke\nin two lines", context=first)
    assert failure_lines(second, paint=Paint()) == [
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in f',
        '    d["a"]',
        "KeyError: 'a'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "RuntimeError: broke",
        "in two lines",
    ]
    assert failure_headline(second) == "RuntimeError: broke"


def test_frames_of_the_framework_are_counted_where_others_or_the_error_tell_the_place() -> None:
    inner = '  File "/venv/lib/python3.11/site-packages/dagster/_core/x.py", line 1, in y\n    z()\n'
    own = '  File "/srv/dagster_project/etl.py", line 3, in load\n    boom()\n'
    mixed = failure_lines(Failure(error_class="E", stack=[inner, inner, own]), paint=Paint())
    assert mixed[1:] == ["  … 2 frames of the framework", *own.rstrip().split("\n"), "E"]
    assert len(failure_lines(Failure(error_class="E", stack=[inner]), paint=Paint())) == 4
    for telling in ("SyntaxError", "DagsterInvariantViolationError"):
        told = failure_lines(Failure(error_class=telling, message="here", stack=[inner]), paint=Paint())
        assert told[1:] == ["  … 1 frame of the framework", f"{telling}: here"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_950, "9.9 kB"),
        (340_400_000, "340 MB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_a_size_is_written_in_the_unit_that_suits_it(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize("seconds", [1.7e12, 1e18, -1e18, math.nan, math.inf, -math.inf])
def test_a_timestamp_that_no_calendar_knows_is_the_number_that_it_is(seconds: float) -> None:
    assert value_text(MetadataValue(timestamp=seconds)) == f"{seconds:.15g}"


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), 10**15])
def test_a_moment_that_no_calendar_knows_is_told_all_the_same(seconds: int) -> None:
    moment = Timestamp(seconds=seconds)
    assert clock_text(moment) == moment_text(moment) == f"{float(seconds):.15g}"
    assert age_text(moment)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_a_duration_that_is_no_number_is_told(seconds: float) -> None:
    assert duration_text(seconds) == "?"


def test_odd_values_are_told_by_kind_and_size() -> None:
    assert value_text(MetadataValue(opaque=OpaqueValue(type_name="Secret"))) == "<Secret>"
    assert value_text(MetadataValue(table=Table(records=[TableRecord()], records_left_out=999_999))) == (
        "<table of 1000000 rows>"
    )
    long = MetadataEntry(label="n", value=MetadataValue(big_int="9" * 10_000))
    assert len(metadata_text([long])) < 100
