"""What is stale, and why, as Dagster tells it: of the same assets after the same materializations and observations."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest
from isthmus_code_server.definitions.dagster.described.snapshot import location_snapshot
from isthmus_code_server.definitions.dagster.values.translation import translate
from isthmus_control_plane.catalog import stale
from isthmus_control_plane.catalog.merging import Catalog
from isthmus_control_plane.catalog.staleness import StaleStatus
from isthmus_control_plane.validation.definition import Definitions
from isthmus_control_plane.validation.merged import merge
from isthmus_store import event_index
from isthmus_store.database import Database

# Dagster's own warnings are about Dagster's future.
pytestmark = pytest.mark.filterwarnings("ignore")

_POINTER = "dagster/input_event_pointer/"
_DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
_SHOPS = dg.StaticPartitionsDefinition(["a", "b", "c"])


@dataclass(frozen=True)
class _Code:
    """What of the code changes."""

    version: str = "1"
    #: Whether `sums` depends on `plain`.
    is_wide: bool = False


@dg.asset
def plain() -> None: ...


@dg.asset(deps=["raw"])
def clean() -> None: ...


@dg.asset(deps=["raw"])
def chosen(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(data_version=dg.DataVersion(context.run.tags["version"]))


@dg.asset(deps=[chosen])
def of_chosen() -> None: ...


@dg.asset(partitions_def=_DAYS, deps=["raw"])
def daily() -> None: ...


@dg.asset(partitions_def=_DAYS, deps=[daily])
def daily_sums() -> None: ...


@dg.asset(deps=[daily])
def of_all_days() -> None: ...


@dg.asset(partitions_def=_SHOPS)
def shops() -> None: ...


@dg.asset(deps=[shops])
def of_all_shops() -> None: ...


@dg.asset(deps=[dg.AssetDep(shops, partition_mapping=dg.LastPartitionMapping())])
def of_the_last_shop() -> None: ...


_STEADY = (plain, clean, chosen, of_chosen, daily, daily_sums, of_all_days, shops, of_all_shops, of_the_last_shop)


def _repository(code: _Code) -> Any:
    @dg.observable_source_asset
    def feed(context: Any) -> Any:
        return dg.DataVersion(context.run.tags["version"])

    @dg.asset(deps=[feed], code_version=code.version)
    def raw() -> None: ...

    @dg.asset(deps=[clean, *([plain] if code.is_wide else [])], code_version="7")
    def sums() -> None: ...

    return dg.Definitions(assets=[*_STEADY, feed, raw, sums]).get_repository_def()


@dataclass
class _World:
    """Dagster's instance, and our store with the same events."""

    instance: dg.DagsterInstance
    database: Database
    code: _Code = _Code()
    #: Our ids of Dagster's events.
    ids: dict[int, int] = field(default_factory=dict)

    async def execute(self, names: Sequence[str], *, partition: str | None = None, version: str = "1") -> None:
        """Make assets, or observe them, and store what that told."""
        graph = _repository(self.code)
        job = next(it for it in graph.get_all_jobs() if {dg.AssetKey(name) for name in names} <= _keys(it))
        job.get_subset(asset_selection={dg.AssetKey(name) for name in names}).execute_in_process(
            instance=self.instance, partition_key=partition, tags={"version": version}
        )
        await self._store()

    async def _store(self) -> None:
        newest = max(self.ids, default=0)
        records = [
            record
            for kind in (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)
            for record in self.instance.get_event_records(dg.EventRecordsFilter(kind, after_cursor=newest))
        ]
        async with self.database.write() as tx:
            for record in sorted(records, key=lambda it: it.storage_id):
                event = translate(record.event_log_entry)
                body = getattr(event, event.WhichOneof("body") or "")
                for key, value in body.tags.items():
                    if key.startswith(_POINTER) and value.isdecimal():
                        body.tags[key] = str(self.ids[int(value)])
                at = datetime.fromtimestamp(record.timestamp, UTC)
                number = await event_index.add_runless(tx, event, deployment="default", at=at)
                assert number is not None
                self.ids[record.storage_id] = number

    async def compare(self) -> None:
        """Judge everything on both sides."""
        repository = _repository(self.code)
        graph = repository.asset_graph
        places = [(key, it) for key in sorted(graph.get_all_asset_keys()) for it in _partitions(graph.get(key))]
        definitions = {"etl": Definitions.of(location_snapshot(repository))}
        catalog = Catalog("default", {}, merge(definitions))
        async with self.database.read() as tx:
            found = await stale.judge(tx, catalog, [(tuple(key.path), partition or "") for key, partition in places])
        resolver = CachingStaleStatusResolver(self.instance, graph, LoadingContextForTest(self.instance))
        for key, partition in places:
            ours = found[tuple(key.path), partition or ""]
            theirs = [it.reason for it in resolver.get_stale_causes(key, partition)]
            assert (ours.status.value, sorted(it.text for it in ours.causes), ours.why_unknown) == (
                resolver.get_status(key, partition).value,
                sorted(theirs),
                "",
            ), f"{key.to_user_string()} {partition}"


def _partitions(node: Any) -> list[str | None]:
    return [None] if node.partitions_def is None else list(node.partitions_def.get_partition_keys())


def _keys(job: Any) -> set[dg.AssetKey]:
    return set(job.asset_layer.executable_asset_keys)


@asynccontextmanager
async def _world(folder: Path) -> AsyncIterator[_World]:
    async with Database.open(f"sqlite:///{folder}/isthmus.db") as database:
        await database.migrate()
        with dg.DagsterInstance.ephemeral() as instance:
            yield _World(instance, database)


async def test_nothing_was_made(tmp_path: Path) -> None:
    async with _world(tmp_path) as world:
        await world.compare()


_MADE: tuple[tuple[tuple[str, ...], str | None], ...] = (
    (("feed",), None),
    (("raw", "plain", "clean", "sums", "chosen", "of_chosen"), None),
    (("daily", "daily_sums"), "2026-01-01"),
    (("daily", "daily_sums"), "2026-01-02"),
    (("of_all_days",), None),
    *(((("shops",), key)) for key in "abc"),
    (("of_all_shops", "of_the_last_shop"), None),
)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_the_same_is_stale_for_the_same_reasons(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    async with _world(tmp_path) as world:
        for names, partition in _MADE:
            await world.execute(names, partition=partition)
        await world.compare()
        for _ in range(8):
            await random.choice(_STEPS)(world, random)
            await world.compare()


async def _make_some(world: _World, random: Random) -> None:
    names, partition = random.choice(_MADE[1:])
    some = random.sample(names, random.randint(1, len(names)))
    await world.execute(some, partition=partition, version=str(random.randint(1, 3)))


async def _observe(world: _World, random: Random) -> None:
    await world.execute(["feed"], version=str(random.randint(1, 3)))


async def _change_code(world: _World, random: Random) -> None:
    world.code = _Code(version=str(random.randint(1, 3)), is_wide=random.random() < 0.5)


async def _report(world: _World, random: Random) -> None:
    """Tell of a materialization without versions, as from outside."""
    world.instance.report_runless_asset_event(dg.AssetMaterialization(random.choice(["raw", "plain", "clean", "sums"])))
    await world._store()


_STEPS: Sequence[Callable[[_World, Random], Any]] = (_make_some, _make_some, _observe, _change_code, _report)


async def test_what_only_the_code_server_can_tell_is_said_so(tmp_path: Path) -> None:
    @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def daily() -> None: ...

    @dg.asset(partitions_def=dg.WeeklyPartitionsDefinition("2026-01-04"), deps=[daily])
    def weekly() -> None: ...

    definitions = Definitions.of(location_snapshot(dg.Definitions([daily, weekly]).get_repository_def()))
    catalog = Catalog("default", {}, merge({"etl": definitions}))
    async with _world(tmp_path) as world:
        week = "2026-01-04"
        event = _made("weekly", week)
        async with world.database.write() as tx:
            await event_index.add_runless(tx, event, deployment="default", at=datetime.now(UTC))
            found = await stale.judge(tx, catalog, [(("weekly",), week), (("weekly",), ""), (("gone",), "")])
    assert {it.status for it in found.values()} == {StaleStatus.UNKNOWN}
    assert "its code server alone (time_window)" in found[("weekly",), week].why_unknown
    assert "each is judged by itself" in found[("weekly",), ""].why_unknown
    assert "no location knows it" in found[("gone",), ""].why_unknown


def _made(name: str, partition: str) -> Any:
    from isthmus.v1.telemetry_pb2 import AssetKey, AssetMaterialized, Event

    return Event(asset_materialized=AssetMaterialized(asset=AssetKey(path=[name]), partition=partition))
