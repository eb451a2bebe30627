"""The list of runs: found by text, and told while it changes."""

from typing import Any

import grpc
import pytest
from integration.control_plane_stand import control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus_store.signal import Started, Succeeded
from support.eventually import patiently


def states(news: api.WatchedRuns) -> list[tuple[str, str]]:
    return [(run.request.run.run_id, api.RunState.Name(run.state).removeprefix("RUN_STATE_")) for run in news.changed]


async def read(watch: Any) -> api.WatchedRuns:
    async with patiently(30):
        news: api.WatchedRuns = await watch.read()
        return news


async def test_a_watched_page_is_told_whole_and_then_what_changes_of_it(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        first = (await stand.launch(tags={"team": "core"})).request.run.run_id
        watch = stand.stub.WatchRuns(api.ListRunsQuery(page_size=2))
        whole = await read(watch)
        assert (list(whole.run_ids), states(whole)) == ([first], [(first, "DISPATCHED")])
        assert whole.changed[0].tags["team"] == "core"
        second = (await stand.launch()).request.run.run_id
        added = await read(watch)
        assert (list(added.run_ids), states(added)) == ([second, first], [(second, "DISPATCHED")])
        await stand.record(first, signal=Started(attempt=1))
        moved = await read(watch)
        assert (list(moved.run_ids), states(moved)) == ([second, first], [(first, "RUNNING")])
        third = (await stand.launch()).request.run.run_id
        pushed = await read(watch)
        assert (list(pushed.run_ids), bool(pushed.next_page_token)) == ([third, second], True)


async def test_a_run_that_a_query_does_not_ask_for_any_more_leaves_its_page(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        await stand.record(run_id, signal=Started(attempt=1))
        watch = stand.stub.WatchRuns(api.ListRunsQuery(states=[api.RUN_STATE_RUNNING]))
        assert list((await read(watch)).run_ids) == [run_id]
        await stand.record(run_id, signal=Succeeded(attempt=1))
        assert (await read(watch)) == api.WatchedRuns()


async def test_watchers_of_a_page_are_told_when_the_control_plane_stops(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        watch = stand.stub.WatchRuns(api.ListRunsQuery())
        assert await read(watch) == api.WatchedRuns()
        stand.stop.set()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await read(watch)
        assert ended.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


async def test_what_cannot_be_listed_cannot_be_watched(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        for query, field in (
            (api.ListRunsQuery(page_size=501), "page_size"),
            (api.ListRunsQuery(text="x" * 100_000), "text"),
        ):
            for call in (stand.stub.ListRuns(query), stand.stub.WatchRuns(query).read()):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                assert list(violations_of(refused.value)) == [field]


async def test_runs_are_found_by_a_part_of_the_job_or_the_beginning_of_the_id(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        other = (await stand.launch(run_id="00000000-0000-4000-8000-000000000001")).request.run.run_id
        found = {}
        for text in ("IGHT", run_id[:9].upper(), "0000-4000", "night%", "n_ghtly"):
            page = await stand.stub.ListRuns(api.ListRunsQuery(text=text))
            found[text] = {run.request.run.run_id for run in page.runs}
        assert found == {
            "IGHT": {run_id, other},
            run_id[:9].upper(): {run_id},
            "0000-4000": set(),
            "night%": set(),
            "n_ghtly": set(),
        }


async def test_a_page_is_not_told_again_while_nothing_of_it_changes(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        narrow = stand.stub.WatchRuns(api.ListRunsQuery(job_name="nightly", states=[api.RUN_STATE_DISPATCHED]))
        wide = stand.stub.WatchRuns(api.ListRunsQuery())
        assert list((await read(narrow)).run_ids) == list((await read(wide)).run_ids) == [run_id]
        await stand.record(run_id, signal=Started(attempt=1))
        assert states(await read(wide)) == [(run_id, "RUNNING")]
        # The next word of the narrow page is that the run has left it: it heard nothing in between.
        assert await read(narrow) == api.WatchedRuns()
