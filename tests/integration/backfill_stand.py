"""A control plane on a stand whose location has jobs and assets with partitions, and what is done with backfills there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from integration.control_plane_stand import FakeAgent, Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_broker.notices import Notice
from isthmus_store import runs
from isthmus_store.retry.follow import follow_up
from isthmus_store.signal import RunSignal
from support.eventually import eventually

DAYS = [f"2030-01-{day:02}" for day in range(1, 31)]
SNAPSHOT = pb.LocationSnapshot(
    jobs=[
        pb.JobSnapshot(name="daily", partitions=pb.PartitionsSnapshot(kind="static", keys=DAYS), tags={"team": "core"}),
        pb.JobSnapshot(
            name="ranges",
            partitions=pb.PartitionsSnapshot(kind="static", keys=DAYS),
            assets=[pb.AssetKey(path=["wide"])],
        ),
        pb.JobSnapshot(name="plain"),
        pb.JobSnapshot(name="customers", partitions=pb.PartitionsSnapshot(kind="dynamic", dynamic_name="customers")),
        pb.JobSnapshot(name="odd", partitions=pb.PartitionsSnapshot(kind="MyPartitions")),
    ],
    assets=[
        pb.AssetSnapshot(
            key=pb.AssetKey(path=["wide"]),
            is_executable=True,
            partitions=pb.PartitionsSnapshot(kind="static", keys=DAYS),
            backfill_policy=pb.BackfillPolicySnapshot(max_partitions_per_run=10),
        )
    ],
)


def assets_of_weeks() -> pb.LocationSnapshot:
    """Two assets of two days, and one of the week that they are in."""
    days = pb.PartitionsSnapshot(kind="static", keys=["mon", "tue"])
    week = pb.PartitionsSnapshot(kind="static", keys=["w1"])
    keys = {name: pb.AssetKey(path=[name]) for name in ("day", "copy", "week")}
    plain: dict[str, Any] = {"is_executable": True, "is_materializable": True}
    assets = [pb.AssetSnapshot(key=keys["day"], partitions=days, **plain)]
    for name, partitions, kind in (("copy", days, "identity"), ("week", week, "static")):
        mapping = pb.PartitionMappingSnapshot(kind=kind)
        above = pb.AssetDependency(asset=keys["day"], mapping=mapping)
        assets.append(
            pb.AssetSnapshot(key=keys[name], partitions=partitions, deps=[keys["day"]], dependencies=[above], **plain)
        )
    job = pb.JobSnapshot(name="__ASSET_JOB", is_implicit_asset_job=True, assets=keys.values())
    return pb.LocationSnapshot(jobs=[job], assets=assets)


@asynccontextmanager
async def stand_of(broker_url: str, database_url: str, **settings: Any) -> AsyncIterator[tuple[Stand, FakeAgent]]:
    # No sweep would find anything in time: all goes by what is told.
    async with control_plane(broker_url, database_url, **{"sweep_interval_s": 600.0, **settings}) as stand:
        stand.snapshot = SNAPSHOT
        async with stand.serving() as agent:
            yield stand, agent


async def create(stand: Stand, **told: Any) -> api.Backfill:
    fields: dict[str, Any] = {"location": "sales", "job_name": "daily", "is_all": True}
    request = api.CreateBackfillRequest(**fields | told)
    made: api.Backfill = await stand.stub.CreateBackfill(request)
    return made


async def standing(stand: Stand, backfill_id: str) -> api.Backfill:
    found: api.BackfillDetail = await stand.stub.GetBackfill(api.BackfillRef(backfill_id=backfill_id))
    return found.backfill


async def launched(agent: FakeAgent, count: int) -> list[RunRequest]:
    return [(await agent.next("launch_run", within=30)).launch_run.request for _ in range(count)]


async def signal(stand: Stand, run_id: str, news: RunSignal) -> None:
    """Do what the monitor does."""
    at = datetime.now(UTC)
    async with stand.database.write() as tx:
        signaled = await runs.signal(tx, run_id, news, at=at)
        await follow_up(tx, [signaled.run], at=at)
    is_over = signaled.run.state.is_terminal
    await stand.tell(Notice(runs=frozenset({run_id}), freed=frozenset({"default"} if is_over else ())))


async def runs_made(stand: Stand) -> int:
    page: api.ListRunsPage = await stand.stub.ListRuns(api.ListRunsQuery())
    return len(page.runs)


async def until(stand: Stand, backfill_id: str, state: api.BackfillState.ValueType) -> api.Backfill:
    async def is_so() -> api.Backfill | None:
        found = await standing(stand, backfill_id)
        return found if found.state == state else None

    return await eventually(is_so, within=60)
