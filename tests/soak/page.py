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
from isthmus_store.transaction import Transaction

from soak.feed import CHECK, DEPLOYMENT, JOB, asset_path, location_name

if TYPE_CHECKING:
    from soak.year import Year

Page = Callable[[], Awaitable[object]]
#: The location that is looked at.
_PLACE = location_name(3)
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
    desk = year.runs
    last = (await desk.page(api.ListRunsQuery(page_size=1))).runs[0]
    second = (await desk.page(api.ListRunsQuery())).next
    token = second.encode() if second else ""
    return {
        "runs": lambda: desk.page(api.ListRunsQuery()),
        "runs, second page": lambda: desk.page(api.ListRunsQuery(page_token=token)),
        "runs of a location": lambda: desk.page(api.ListRunsQuery(location=_PLACE)),
        "runs of a tag": lambda: desk.page(api.ListRunsQuery(tags={"team": _PLACE})),
        "runs that failed": lambda: desk.page(api.ListRunsQuery(states=[api.RUN_STATE_FAILED])),
        "run": lambda: desk.get(deployment=DEPLOYMENT, run_id=last.run_id),
        "history of a run": _read(year, lambda tx: events.after(tx, last.run_id, position=0)),
        "alerts": _read(year, lambda tx: alerts.recent(tx, deployment=DEPLOYMENT)),
        "dead letters": _read(year, dead_letters.recent),
        "locations": lambda: year.locations.all_of(api.ListLocationsRequest()),
        "location": lambda: year.locations.get(api.GetLocationRequest(name=_PLACE)),
        "generations of a location": _read(year, lambda tx: locations.history(tx, deployment=DEPLOYMENT, name=_PLACE)),
        **{name: _asked(year, look, query) for name, (look, query) in _questions().items()},
    }


def _questions() -> dict[str, tuple[Callable[..., Awaitable[object]], object]]:
    """Return what instances ask, by name: what reads the answer, and the question."""
    asset = AssetKey(path=asset_path(_PLACE, 0))
    kinds = ["asset_materialized", "asset_planned"]
    check = AssetCheckRef(asset=asset, check_name=CHECK)
    return {
        "assets": (lookup.asset_keys, instance.AssetKeysQuery()),
        "latest of all assets": (lookup.latest_events, instance.LatestEventsQuery(kinds=kinds, is_all=True)),
        "events of an asset": (lookup.find_events, instance.EventsQuery(kinds=kinds, asset=asset, limit=100)),
        "partitions of an asset": (lookup.partitions, instance.PartitionsQuery(kind=kinds[0], asset=asset)),
        "executions of a check": (lookup.check_executions, instance.CheckExecutionsQuery(checks=[check], limit=25)),
        "runs of a job": (lookup.find_runs, instance.RunsQuery(job_name=JOB, limit=25)),
        "values of a tag": (lookup.run_tags, instance.RunTagsQuery(keys=["team"])),
    }


def _read(year: "Year", read: Callable[[Transaction], Awaitable[object]]) -> Page:
    async def page() -> object:
        async with year.core.database.read() as tx:
            return await read(tx)

    return page


def _asked(year: "Year", look: Callable[..., Awaitable[object]], query: object) -> Page:
    return _read(year, lambda tx: look(tx, DEPLOYMENT, query))
