"""Every schedule and sensor comes to what it comes to under Dagster's own daemon: ticks, runs, cursors, errors, log lines."""

import asyncio
import json
import os
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conformance.comparison import PROJECTS, PYTHON
from conformance.isthmus_facts import Fact
from conformance.isthmus_ticks import World
from isthmus.v1 import control_plane_pb2 as api
from isthmus_store.database import Database
from support.eventually import patiently
from support.faketime import ShiftedClock
from support.postgres import Postgres
from support.system import Operator, System

pytestmark = pytest.mark.timeout(240)

EXAMPLE = PROJECTS.parents[2] / "examples/bike_share"
_TESTS = PROJECTS.parents[1]
_EXAMPLE_PLACE = {
    "name": "bike-share",
    "module": "bike_share.definitions",
    "attribute": "defs",
    "folder": str(EXAMPLE),
}


def place(name: str, *, attribute: str = "defs") -> dict[str, str]:
    return {"name": name, "module": name, "attribute": attribute, "folder": str(PROJECTS)}


def run(location: str, job: str, *, partition: str = "", **tags: str) -> dict[str, Any]:
    """A run that somebody launches."""
    return {"location": location, "job": job, "partition": partition, "tags": tags}


def file(name: str, *, changed_at: int) -> dict[str, Any]:
    """A file that somebody leaves in the example's inbox."""
    return {"file": name, "changed_at": changed_at}


#: Over the end of summer time in Europe.
SINCE = datetime(2024, 10, 26, 23, 0, 30, tzinfo=UTC)
UNTIL = datetime(2024, 10, 27, 13, 0, tzinfo=UTC)
ROUNDS: Sequence[Sequence[dict[str, Any]]] = (
    [],
    [run("sensing", "watched"), run("sensing", "make_coloured", partition="red"), file("a.txt", changed_at=1000)],
    [run("sensing", "make_orders"), run("elsewhere", "remote")],
    [run("sensing", "broken", mail="no"), run("elsewhere", "also_remote"), file("b.txt", changed_at=2000)],
    [run("sensing", "broken"), run("sensing", "make_coloured", partition="green"), file("c.txt", changed_at=1500)],
    [run("sensing", "watched"), run("sensing", "watched")],
)
#: Sensors that Isthmus asks when there is news, and Dagster again and again: what they say when there is none is left out.
EAGER = (
    *("on_orders", "on_coloured", "on_both", "on_partitions", "after_watched", "after_any_of_here", "after_failure"),
    *("after_a_job_elsewhere", "after_the_repository_elsewhere", "after_another_repository"),
    *("after_a_location_or_a_job", "when_any_starts", "after_watched_there", "after_any_of_side", "inbox"),
)
#: When sensors are looked at in a round.
LOOKS = (timedelta(minutes=2), timedelta(minutes=64))
ROUND = timedelta(minutes=65)


def scenario(*, rounds: Sequence[Sequence[dict[str, Any]]] = (), until: datetime | None = None) -> dict[str, Any]:
    """What happens, with an id for each run."""
    places = [place("ticking")] if until is not None else [place("sensing"), place("elsewhere", attribute="")]
    told = [
        [
            {**action, "run_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}/{index}"))}
            if "job" in action
            else action
            for index, action in enumerate(actions)
        ]
        for number, actions in enumerate(rounds)
    ]
    return {
        "places": [*places, _EXAMPLE_PLACE],
        "since": SINCE.isoformat(),
        "until": until.isoformat() if until is not None else "",
        "late": ["count_each_minute"],
        "rounds": told,
    }


def environment(home: Path) -> dict[str, str]:
    """What the projects' own code finds in its environment."""
    return {
        "BIKE_SHARE_INBOX": str(home / "inbox"),
        "BIKE_SHARE_DATABASE": str(home / "bikes.duckdb"),
        "PYTHONHASHSEED": "0",
    }


async def of_dagster(wanted: Mapping[str, Any], *, home: Path) -> dict[str, Any]:
    """What Dagster's daemon makes of a scenario."""
    home.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(PYTHON, "-W", "ignore", "-m", "conformance.dagster_daemon", str(home)),
        cwd=PROJECTS,
        env={**os.environ, **environment(home), "PYTHONPATH": f"{_TESTS}:{PROJECTS}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with patiently(100):
            output, errors = await process.communicate(json.dumps(wanted).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()[-4000:]
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told


@asynccontextmanager
async def world(broker_url: str, postgres: Postgres, folder: Path) -> AsyncIterator[World]:
    """A system whose clock is set."""
    clock = ShiftedClock.beside(folder)
    clock.set(SINCE)
    database_url = postgres.create_database()
    system = System(broker_url, database_url, folder)
    for name in ("control_plane", "agent"):
        system.services[name].environment.update(clock.environment)
    system.services["control_plane"].environment["ISTHMUS_CONTROL_PLANE_SWEEP_INTERVAL_S"] = "0.2"
    system.services["agent"].environment["ISTHMUS_AGENT_PASSED_ENV"] = "*FAKE*,LD_PRELOAD"
    system.start()
    try:
        async with system.client() as client, Database.open(database_url) as database:
            operator = Operator(system, client)
            await operator.enroll_agent()
            # What ticks ask for stays in the queue, as beside Dagster's daemon.
            limits = [api.TagLimit(key=f"dagster/{kind}_name", limit=0) for kind in ("schedule", "sensor")]
            await client.set_queue_settings(api.QueueSettings(tags=limits))
            yield World(operator, clock, database, PYTHON)
    finally:
        system.stop()


async def test_schedules_come_to_what_they_come_to_under_dagsters_daemon(
    broker_url: str, postgres: Postgres, tmp_path: Path
) -> None:
    wanted = scenario(until=UNTIL)
    async with world(broker_url, postgres, tmp_path) as ours, asyncio.TaskGroup() as sides:
        dagster = sides.create_task(of_dagster(wanted, home=tmp_path / "dagster"))
        for it in wanted["places"]:
            await ours.load(it, env=environment(tmp_path / "isthmus"))
        ours.clock.set(SINCE)
        theirs = await dagster
        ours.clock.set(SINCE)
        await ours.schedules(theirs["ticks"], wanted=wanted)
        told = await ours.told()
    assert_equal(told, theirs["ticks"], same_times=True)
    assert {it["of"] for it in told} >= {"daily_trips_schedule", "count_each_minute", "half_hours"}


async def test_sensors_come_to_what_they_come_to_under_dagsters_daemon(
    broker_url: str, postgres: Postgres, tmp_path: Path
) -> None:
    wanted = scenario(rounds=ROUNDS)
    names = [it["name"] for it in wanted["places"]]
    async with world(broker_url, postgres, tmp_path) as ours, asyncio.TaskGroup() as sides:
        dagster = sides.create_task(of_dagster(wanted, home=tmp_path / "dagster"))
        for it in wanted["places"]:
            await ours.load(it, env=environment(tmp_path / "isthmus"))
        ours.clock.set(SINCE)
        await ours.start(api.AUTOMATION_KIND_SENSOR, names, lambda _: True)
        theirs = await dagster
        for number, actions in enumerate(wanted["rounds"]):
            begun = SINCE + ROUND * number
            ours.clock.set(begun)
            for action in actions:
                await ours.act({**action, "inbox": str(tmp_path / "isthmus/inbox")})
            for look in LOOKS:
                ours.clock.set(begun + look)
                until = (begun + look).timestamp()
                counted = [it for it in theirs["ticks"] if it["at"] <= until + 1 and _is_compared(it)]
                await ours.settled(Counter(it["of"] for it in counted), of=EAGER)
        told, events = await ours.told(), await ours.events()
        reactions, cursors = await ours.reactions(wanted["rounds"]), await ours.cursors()
    assert_equal(_of_sensors(told), _of_sensors(theirs["ticks"]), same_times=False)
    assert Counter(reactions) == Counter(theirs["reactions"])
    last = {it["of"]: it["cursor"] for it in theirs["ticks"] if it["of"] in EAGER and it["status"] != "FAILED"}
    # With SQLite, Dagster passes over runs of other jobs one by one; with PostgreSQL it asks for those of the job, as Isthmus does.
    del last["after_a_job_elsewhere"]
    assert {name: _named(cursors[name], events) for name in last} == {
        name: _named(cursor, theirs["events"]) for name, cursor in last.items()
    }


# ------------------------------------------------------------------------------------------------------------ comparing


def _is_compared(fact: Fact) -> bool:
    if fact["of"] == "freshness_checks_sensor":
        # Dagster counts a check as planned as soon as its run is made, and Isthmus when the run begins: here it never does.
        return any("previously passed" in line for line in fact["lines"])
    return fact["status"] != "SKIPPED" or fact["of"] not in EAGER


def _named(cursor: str, events: Mapping[str, str]) -> str:
    """Write a cursor with what happened in the place of its number in a table."""
    cursor = re.sub(r'"(update_timestamp|record_timestamp)": ("[^"]*"|[\d.]+)', r'"\1": "<time>"', cursor)
    return re.sub(r"-?\b\d+\b", lambda found: f"<{events.get(found[0], found[0])}>", cursor)


def _of_sensors(told: Sequence[Fact]) -> list[Fact]:
    """Put together what sensors that events wake came to: how many events a tick sees is a matter of when it is begun."""
    compared = [it for it in told if _is_compared(it)]
    together = [
        {
            "of": name,
            "status": status,
            "error": [error for it in compared if (it["of"], it["status"]) == (name, status) for error in it["error"]],
            "lines": [line for it in compared if (it["of"], it["status"]) == (name, status) for line in it["lines"]],
            "runs": [run for it in compared if (it["of"], it["status"]) == (name, status) for run in it["runs"]],
        }
        for name, status in sorted({(it["of"], it["status"]) for it in compared if it["of"] in EAGER})
    ]
    return [*(it for it in compared if it["of"] not in EAGER), *together]


def assert_equal(ours: Sequence[Fact], theirs: Sequence[Fact], *, same_times: bool) -> None:
    """Compare ticks of each schedule or sensor, in their order."""
    names = sorted({it["of"] for it in [*ours, *theirs]})
    lines: list[str] = []
    for name in names:
        left = [_line(it, same_times=same_times) for it in theirs if it["of"] == name]
        right = [_line(it, same_times=same_times) for it in ours if it["of"] == name]
        lines += [f"only Dagster: {line}" for line in (Counter(left) - Counter(right)).elements()]
        lines += [f"only Isthmus: {line}" for line in (Counter(right) - Counter(left)).elements()]
        if not lines and left != right:
            lines.append(f"{name}: in another order")
    assert not lines, "\n".join(["", *lines])


#: Who is who: numbers of ticks, and what only one side has a use for.
_OWN_TAGS = ("dagster/tick", "dagster/code_location", ".dagster/repository")


def _line(fact: Fact, *, same_times: bool) -> str:
    told = {key: value for key, value in fact.items() if same_times or key != "at"}
    told["runs"] = [
        {**one, "tags": {key: value for key, value in one["tags"].items() if key not in _OWN_TAGS}}
        for one in fact["runs"]
    ]
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    text = text.replace("each run that was asked for has a run key that was used before", "")  # Dagster says nothing
    text = re.sub(r"until [^\"]* from now", "until <time> from now", text)
    return re.sub(r"/[^\" ]*/(dagster|isthmus)/inbox", "<inbox>", text)
