"""`isthmus run logs` for reading: lines in the order of time, without what was not asked for."""

import pytest
from contract.cli.conftest import Isthmus
from isthmus.v1.telemetry_pb2 import LogChunk, LogStream
from support.canned import CannedServer

RUN = "76cfde3c-e5f8-4446-a496-5b6271607844"
OUT, ERR = LogStream.LOG_STREAM_STDOUT, LogStream.LOG_STREAM_STDERR


def record(second: int, level: str, rest: str) -> bytes:
    return f"2026-11-28 14:10:{second:02} +0000 - dagster - {level} - nightly - {RUN} - {rest}\n".encode()


@pytest.fixture
def wrote(canned: CannedServer) -> CannedServer:
    load = record(42, "DEBUG", "7 - load - STEP_START - go") + record(43, "INFO", "load - loads")
    report = record(41, "WARNING", "report - is early")
    canned.plane.chunks = [
        LogChunk(stream=OUT, step_key="load", data=b"printed\n"),
        LogChunk(stream=ERR, step_key="load", data=load),
        LogChunk(stream=ERR, step_key="report", data=report),
    ]
    return canned


async def texts(isthmus: Isthmus, *words: str) -> list[str]:
    outcome = await isthmus("run", "logs", RUN, *words, environment={"TZ": "UTC"})
    assert outcome.code == 0, outcome.err
    return outcome.out.splitlines()


async def test_lines_are_merged_by_time_with_the_steps_names(wrote: CannedServer, isthmus: Isthmus) -> None:
    assert await texts(isthmus, "--level", "info") == [
        "14:10:41  report │ WARNING is early",
        "          load   │ printed",
        "14:10:43  load   │ INFO loads",
    ]


async def test_debug_is_told_when_asked_for(wrote: CannedServer, isthmus: Isthmus) -> None:
    lines = await texts(isthmus, "--level", "debug")
    assert "14:10:42  load   │ DEBUG STEP_START - go" in lines


async def test_lines_are_chosen_by_time_and_from_the_end(wrote: CannedServer, isthmus: Isthmus) -> None:
    assert await texts(isthmus, "--since", "2026-11-28T14:10:43+00:00", "--level", "info") == [
        "          load │ printed",
        "14:10:43  load │ INFO loads",
    ]
    assert await texts(isthmus, "-n", "1") == ["14:10:43  load │ INFO loads"]


async def test_with_follow_lines_come_when_output_pauses(wrote: CannedServer, isthmus: Isthmus) -> None:
    assert (await texts(isthmus, "-f", "--level", "info"))[-1] == "14:10:43  load   │ INFO loads"


async def test_in_a_pipe_the_bytes_are_as_they_are(wrote: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("run", "logs", RUN)
    assert outcome.out == "printed\n"
    assert outcome.err == b"".join(chunk.data for chunk in wrote.plane.chunks[1:]).decode()


async def test_a_level_that_there_is_not_is_refused(wrote: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("run", "logs", RUN, "--level", "loud")
    assert outcome.code == 2
    assert "debug, info, warning" in outcome.err
