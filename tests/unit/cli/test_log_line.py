"""Lines of a run's output: read as Dagster writes them, and brought into the order of time."""

import logging

from isthmus_cli.log_line import LineReader, LogLine, merged

RUN = "76cfde3c-e5f8-4446-a496-5b6271607844"


def record(second: int, level: str, rest: str) -> str:
    return f"2026-11-28 14:10:{second:02} +0000 - dagster - {level} - nightly - {RUN} - {rest}\n"


def read(text: str, *, step: str = "") -> list[LogLine]:
    reader = LineReader(step)
    return [*reader.feed(text.encode()), *reader.end()]


def test_a_record_tells_its_time_its_level_its_step_and_what_was_said() -> None:
    (line,) = read(record(46, "INFO", "load - loaded 3 - all good"))
    assert (line.level, line.step, line.text) == (logging.INFO, "load", "loaded 3 - all good")
    (event,) = read(record(46, "DEBUG", "14561 - load - STEP_START - Started."), step="load")
    assert (event.level, event.text) == (logging.DEBUG, "STEP_START - Started.")
    (of_run,) = read(record(46, "DEBUG", "14561 - RUN_START - Started."))
    assert (of_run.step, of_run.text) == ("", "RUN_START - Started.")


def test_what_is_printed_has_no_level_and_the_time_of_the_record_before() -> None:
    first, printed = read(record(46, "DEBUG", "load - begins") + "hello - from - print\n", step="load")
    assert (printed.level, printed.at, printed.text) == (None, first.at, "hello - from - print")


def test_the_error_of_a_record_belongs_to_it() -> None:
    lines = read(record(46, "DEBUG", "load - will be tried again") + "\nKeyError: 'x'\n\nStack Trace:\n  File ...\n")
    assert {line.level for line in lines} == {logging.DEBUG}
    assert [line.is_head for line in lines] == [True, False, False, False, False, False]


def test_a_line_that_comes_in_pieces_is_one_line() -> None:
    reader = LineReader("load")
    whole = record(46, "INFO", "load - späte Grüße").encode()
    cut = whole.index(b"\xc3") + 1
    assert reader.feed(whole[:cut]) == []
    assert [line.text for line in reader.feed(whole[cut:])] == ["späte Grüße"]
    assert reader.end() == []


def test_lines_of_several_files_come_in_the_order_of_time() -> None:
    run = read(record(40, "INFO", "begins") + record(49, "INFO", "ends"))
    load = read(record(42, "INFO", "load - first") + record(44, "INFO", "load - second"), step="load")
    printed = read("printed before any record\n", step="load")
    other = read(record(43, "INFO", "other - between"), step="other")
    assert [line.text for line in merged([*run, *printed, *load, *other])] == [
        "begins",
        "printed before any record",
        "first",
        "between",
        "second",
        "ends",
    ]


def test_the_error_that_a_run_takes_over_from_its_step_is_told_apart() -> None:
    error = "\nKeyError: 'x'\n\nStack Trace:\n"
    of_run = read(record(46, "ERROR", "7 - RUN_FAILURE - Steps failed") + error)
    of_step = read(record(46, "ERROR", "7 - load - STEP_FAILURE - failed") + error, step="load")
    assert [line.repeats_step_failure for line in of_run] == [False, True, True, True, True]
    assert [line.tells_step_failure for line in of_step] == [True, False, False, False, False]
    assert merged([*of_run, *of_step])[-1].kind == "RUN_FAILURE"


def test_what_only_looks_like_a_record_is_a_line() -> None:
    (line,) = read("2026-99-99 14:10:45 +0000 - dagster - INFO - x\n")
    assert (line.level, line.at) == (None, None)
    (other,) = read("2026-11-28 14:10:45 +0000 - dagster - NOISE - x\n")
    assert other.level is None
