"""Fifty assets, and what another location makes of them week by week: the runs that Dagster wants on the merged graph, tick by tick."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from random import Random

import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.dagster.described.snapshot import location_snapshot
from isthmus_code_server.runs.instance_gate import InstanceGate
from support_automation import Requested, Story, requested
from support_code_server import Load
from support_instance import attached

_TICKS = 8
#: Runs that are executed of those that a tick wants; the others go on, or fail.
_MOST_RUNS = 40


class _Places:
    """Two locations that share one instance, and one course of things."""

    def __init__(self, load: Load, random: Random) -> None:
        self.here = Story(load(module="automated_fifty"), module="automated_fifty")
        self.there = Story(load(module="automated_weekly"), module="automated_weekly")
        self.there.instance, self.there.world = self.here.instance, self.here.world
        self.there.surroundings.neighbours.extend(_above(self.there, self.here))
        self.random = random

    def step(self, wanted: Requested, *, is_whole_week: bool) -> None:
        """Execute what was wanted, make some roots, and let time pass."""
        for day in range(1, 8) if is_whole_week else ():
            self.here.make("a0", partition=f"2026-01-0{day}")
        for name, partition in sorted(wanted)[:_MOST_RUNS]:
            self._run(name, partition)
        for _ in range(self.random.randint(0, 4)):
            self._make_root()
        for story in (self.here, self.there):
            story.wait(minutes=self._minutes)

    def new_time(self) -> None:
        self._minutes = self.random.choice([1, 31, 61, 25 * 60])

    def _run(self, name: str, partition: str) -> None:
        match self.random.randint(0, 9):
            case 0:
                self.here.plan(name, partition=partition)
            case 1:
                self.here.end(self.here.plan(name, partition=partition), "FAILURE")
            case _:
                self.here.make(name, partition=partition)

    def _make_root(self) -> None:
        number = self.random.randrange(10)
        is_daily = sys.modules["automated_fifty"].is_daily(number)
        days = [f"2026-01-0{day}" for day in range(1, 8)] if self.random.random() < 0.5 else ["2026-01-07"]
        for day in days if is_daily else [""]:
            self.here.make(f"a{number}", partition=day)


def _above(there: Story, here: Story) -> Sequence[pb.AssetSnapshot]:
    """Return what the other location defines of the assets that one knows by name alone."""
    stubs = {tuple(it.key.path) for it in _snapshot(there).assets if it.is_stub}
    return [it for it in _snapshot(here).assets if tuple(it.key.path) in stubs]


def _snapshot(story: Story) -> pb.LocationSnapshot:
    return location_snapshot(story.module.defs.get_repository_def())


@pytest.mark.parametrize("seed", [1, 2])
async def test_both_locations_want_what_dagster_wants_of_all_of_it(load: Load, gate: InstanceGate, seed: int) -> None:
    places = _Places(load, Random(seed))
    wanted: Requested = set()
    of_weeks: Requested = set()
    sides: Sequence[Callable[[], Requested]] = (
        lambda: places.here.dagster() | places.there.dagster(),
        lambda: requested(places.here.ours()) | requested(places.there.ours()),
    )
    async with gate.listening(), attached(gate, places.here.world.answer, asked=places.here.world.asked):
        for number in range(_TICKS):
            places.new_time()
            await asyncio.to_thread(places.step, wanted, is_whole_week=number in {0, 2})
            theirs, ours = [await asyncio.to_thread(side) for side in sides]
            assert ours == theirs, f"tick {number}"
            wanted = ours
            of_weeks |= {it for it in ours if it[0].startswith("week")}
    assert of_weeks
