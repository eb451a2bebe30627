"""Every page of the API, and every question of an instance, as the year's end asks for them."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2 as instance
from isthmus.v1.instruction_pb2 import AssetCheckRef
from isthmus.v1.telemetry_pb2 import AssetKey
from isthmus_control_plane.instance import lookup
from isthmus_store import alerts, dead_letters, events, locations

from soak.feed import CHECK, DEPLOYMENT, JOB, asset_path, location_name

if TYPE_CHECKING:
    from soak.year import Year

Page = Callable[[], Awaitable[object]]
#: Of so many calls the quickest counts: the others tell of the machine.
_CALLS = 9


async def measured(year: "Year", *, calls: int = _CALLS) -> dict[str, float]:
    """Return how long each page takes, milliseconds."""
    times: dict[str, float] = {}
    for name, page in (await pages(year)).items():
        await page()
        taken = []
        for _ in range(calls):
            began = time.perf_counter()
            await page()
            taken.append(1000 * (time.perf_counter() - began))
        times[name] = min(taken)
    return times


async def pages(year: "Year") -> dict[str, Page]:
    """Return the pages by name."""
    desk, place = year.runs, location_name(3)
    last = (await desk.page(api.ListRunsQuery(page_size=1))).runs[0]
    second = (await desk.page(api.ListRunsQuery())).next
    path = asset_path(place, 0)

    def asked(look: Callable[..., Awaitable[object]], query: object) -> Page:
        async def ask() -> object:
            async with year.core.database.read() as tx:
                return await look(tx, DEPLOYMENT, query)

        return ask

    async def history() -> object:
        async with year.core.database.read() as tx:
            return await events.after(tx, last.run_id, position=0)

    async def told() -> object:
        async with year.core.database.read() as tx:
            return await alerts.recent(tx, deployment=DEPLOYMENT), await dead_letters.recent(tx)

    async def generations() -> object:
        async with year.core.database.read() as tx:
            return await locations.history(tx, deployment=DEPLOYMENT, name=place)

    kinds = ["asset_materialized", "asset_planned"]
    return {
        "runs": lambda: desk.page(api.ListRunsQuery()),
        "runs, second page": lambda: desk.page(api.ListRunsQuery(page_token=second.encode() if second else "")),
        "runs of a location": lambda: desk.page(api.ListRunsQuery(location=place)),
        "runs of a tag": lambda: desk.page(api.ListRunsQuery(tags={"team": place})),
        "runs that failed": lambda: desk.page(api.ListRunsQuery(states=[api.RUN_STATE_FAILED])),
        "run": lambda: desk.get(deployment=DEPLOYMENT, run_id=last.run_id),
        "history of a run": history,
        "alerts and dead letters": told,
        "locations": lambda: year.locations.all_of(api.ListLocationsRequest()),
        "location": lambda: year.locations.get(api.GetLocationRequest(name=place)),
        "generations of a location": generations,
        "assets": asked(lookup.asset_keys, instance.AssetKeysQuery()),
        "latest of all assets": asked(lookup.latest_events, instance.LatestEventsQuery(kinds=kinds, is_all=True)),
        "events of an asset": asked(
            lookup.find_events, instance.EventsQuery(kinds=kinds, asset=AssetKey(path=path), limit=100)
        ),
        "partitions of an asset": asked(
            lookup.partitions, instance.PartitionsQuery(kind="asset_materialized", asset=AssetKey(path=path))
        ),
        "executions of a check": asked(
            lookup.check_executions,
            instance.CheckExecutionsQuery(
                checks=[AssetCheckRef(asset=AssetKey(path=path), check_name=CHECK)], limit=25
            ),
        ),
        "runs of a job": asked(lookup.find_runs, instance.RunsQuery(job_name=JOB, limit=25)),
        "values of a tag": asked(lookup.run_tags, instance.RunTagsQuery(keys=["team"])),
    }
