"""`isthmus backfill …` as a process against a real gRPC server."""

from datetime import UTC, datetime

import pytest
from contract.cli.conftest import Isthmus
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import AssetKey, PartitionRange
from support.canned import CannedServer


def stamp(hour: int) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime(2030, 7, 1, hour, tzinfo=UTC))
    return message


def days(first: str, last: str) -> PartitionRange:
    return PartitionRange(first=first, last=last)


@pytest.fixture(autouse=True)
def backfill(canned: CannedServer) -> None:
    it = api.Backfill(
        deployment="default",
        backfill_id="kqzhxvbt",
        state=api.BACKFILL_STATE_RUNNING,
        location="etl",
        job_name="load",
        partitions=40,
        runs=4,
        progress=api.BackfillProgress(waiting=10, under_way=10, succeeded=19, failed=1),
        max_runs=2,
        requested_by="ada",
        created_at=stamp(1),
        parent_backfill_id="aaaaaaaa",
        groups=[api.BackfillGroup(location="etl", job_name="load")],
    )
    decision = api.BackfillDecision(at=stamp(2), text="Runs for partitions a to b were queued.", runs=2)
    canned.plane.backfill = api.BackfillDetail(backfill=it, decisions=[decision])
    canned.plane.backfill_runs = [
        api.BackfillRun(
            number=1, partitions=days("a", "c"), partition_count=3, run_id="0123", state=api.RUN_STATE_FAILED
        ),
        api.BackfillRun(number=2, partitions=days("d", "d"), partition_count=1, problem="no such job"),
        api.BackfillRun(number=3, partitions=days("e", "e"), partition_count=1, is_given_up=True),
        api.BackfillRun(number=4, partitions=days("f", "f"), partition_count=1),
    ]
    canned.plane.backfill_preview = api.BackfillPreview(
        partitions=365,
        runs=12,
        max_runs=1000,
        first_runs=[api.BackfillRun(number=it, partitions=days(f"{it}", f"{it}")) for it in range(1, 13)],
    )


async def test_create_says_which_partitions_and_who_asks(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus(
        "backfill",
        "create",
        "etl",
        "load",
        "--partition",
        "a,b",
        "--partition",
        "c|d",
        "--range",
        "2030-01-01..2030-01-31",
        *("--set", "ops.load.config.limit=5", "--tag", "why=mended", "--max-runs", "7", "--id", "abcdefgh"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out == "kqzhxvbt\n"
    assert "4 runs for 40 partitions. Follow it: isthmus backfill show kqzhxvbt" in outcome.err
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.CreateBackfillRequest)
    assert asked.requested_by
    asked.requested_by = ""
    assert asked == api.CreateBackfillRequest(
        deployment="default",
        backfill_id="abcdefgh",
        location="etl",
        job_name="load",
        partition_keys=["a,b", "c|d"],
        ranges=[days("2030-01-01", "2030-01-31")],
        run_config_json='{"ops": {"load": {"config": {"limit": 5}}}}',
        tags={"why": "mended"},
        max_runs=7,
    )


@pytest.mark.parametrize("words", [("preview",), ("create", "--dry-run")])
async def test_preview_tells_the_runs_and_makes_none(
    canned: CannedServer, isthmus: Isthmus, words: tuple[str, ...]
) -> None:
    outcome = await isthmus("backfill", *words, "etl", "load", "--all")
    assert outcome.code == 0, outcome.err
    head, *runs, more = outcome.out.splitlines()
    assert head == "12 runs for 365 partitions, at the most 1000 of them unfinished at once."
    assert [it.strip() for it in runs] == [str(it) for it in range(1, 11)]
    assert more.strip() == "and 2 more"
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.CreateBackfillRequest)
    assert asked.is_all


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Which partitions?"),
        (("--all", "--partition", "a"), "--all excludes --partition and --range."),
        (("--range", "2030-01-01"), "--range 2030-01-01 is no range."),
        (("--range", "..b"), "--range ..b is no range."),
        (("--all", "--tag", "x"), "--tag x is no tag."),
    ],
)
async def test_options_that_say_nothing_usable_are_named(isthmus: Isthmus, words: tuple[str, ...], said: str) -> None:
    outcome = await isthmus("backfill", "create", "etl", "load", *words)
    assert outcome.code == 2
    assert said in outcome.err


async def test_assets_may_stand_for_a_job(canned: CannedServer, isthmus: Isthmus) -> None:
    del canned.plane.backfill.backfill.groups[:]
    raw = canned.plane.backfill.backfill.groups.add(location="etl")
    raw.assets.add(path=["raw", "trips"])
    canned.plane.backfill.backfill.groups.add(
        location="ml",
        assets=[AssetKey(path=["model"])],
        waits=[api.BackfillWait(group=0, what=api.BackfillWait.FOR_ALL)],
    )
    outcome = await isthmus("backfill", "create", "--assets", "raw/trips+", "--all")
    assert outcome.code == 0, outcome.err
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.CreateBackfillRequest)
    assert (asked.location, asked.job_name, list(asked.asset_queries)) == ("", "", ["raw/trips+"])
    assert "raw/trips, model" in (await isthmus("backfill", "list")).out
    assert "all of 1" in (await isthmus("backfill", "show", "kqzhxvbt")).out
    both = await isthmus("backfill", "create", "etl", "load", "--assets", "raw/trips", "--all")
    assert (both.code, "--assets stand in the place of a job." in both.err) == (2, True)


async def test_without_a_job_the_command_is_named_that_takes_one(isthmus: Isthmus) -> None:
    outcome = await isthmus("backfill", "create", "--all")
    assert outcome.code == 2
    assert "Which job?" in outcome.err


async def test_list_and_show_tell_how_far_it_came(canned: CannedServer, isthmus: Isthmus) -> None:
    listed = await isthmus("backfill", "list", "--state", "running", "--state", "paused")
    head, row = listed.out.splitlines()
    assert head.split() == ["BACKFILL", "OF", "STATE", "PARTITIONS", "PROGRESS", "CREATED"]
    for word in ("kqzhxvbt", "load", "RUNNING", "40", "19 succeeded, 1 failed, 10 under way, 10 waiting"):
        assert word in row
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListBackfillsRequest)
    assert list(asked.states) == [api.BACKFILL_STATE_RUNNING, api.BACKFILL_STATE_PAUSED]
    shown = await isthmus("backfill", "show", "kqzhxvbt")
    for word in ("40 in 4 runs", "what failed of aaaaaaaa", "by ada", "Runs for partitions a to b were queued."):
        assert word in shown.out
    assert (await isthmus("backfill", "show", "kqzhxvbt", "--json")).document["backfill"]["job_name"] == "load"
    refused = await isthmus("backfill", "list", "--state", "sleeping")
    assert refused.code == 2
    assert "--state sleeping is no state of a backfill." in refused.err


async def test_runs_are_told_by_their_partitions(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("backfill", "runs", "kqzhxvbt", "--failed")
    _, *rows = (line.split() for line in outcome.out.splitlines())
    assert rows == [
        ["a..c", "load", "0123", "FAILED", "-"],
        ["d", "load", "-", "REFUSED", "no", "such", "job"],
        ["e", "load", "-", "GIVEN", "UP", "-"],
        ["f", "load", "-", "WAITING", "-"],
    ]
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListBackfillRunsRequest)
    assert asked.is_failed_only


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
async def test_decisions_say_who_decided(canned: CannedServer, isthmus: Isthmus, verb: str) -> None:
    outcome = await isthmus("backfill", verb, "kqzhxvbt")
    assert outcome.code == 0, outcome.err
    assert "Backfill kqzhxvbt is RUNNING: 19 succeeded" in outcome.err
    assert outcome.out == ("kqzhxvbt\n" if verb == "retry" else "")
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.DecideBackfillRequest | api.RetryBackfillRequest)
    assert asked.requested_by
