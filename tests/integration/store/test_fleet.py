"""Agents, locations, placements, snapshots, on both databases."""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from isthmus_store import agents, fleet_rows, locations, placements, snapshot_pieces, snapshots
from isthmus_store.database import Database
from isthmus_store.record.agent import Agent, AgentHeard, NewAgent, Standby
from isthmus_store.record.location import PlacementReport, WantedLocation
from isthmus_store.record.run import AttemptRef
from isthmus_store.retention import others
from isthmus_store.state import AgentState, LocationPhase
from isthmus_store.table.fleet import SNAPSHOT_PIECES
from sqlalchemy import select


async def lab(database: Database, now: datetime, **changes: str) -> Agent:
    values = {"deployment": "prod", "name": "lab", "pool": "default", "broker_user": "agent-lab", **changes}
    async with database.write() as tx:
        return await agents.insert(tx, NewAgent(**values, created_at=now))


def heard(now: datetime, **changes: object) -> AgentHeard:
    news = AgentHeard(
        deployment="prod",
        name="lab",
        state=AgentState.ONLINE,
        heard_at=now,
        started_at=now,
        incarnation="life-1",
        version="0.1.0",
        desired_revision=3,
        active_runs=(AttemptRef("r1", 1), AttemptRef("r2", 2)),
    )
    return replace(news, **changes)  # type: ignore[arg-type]


async def test_an_agent_is_new_until_it_is_heard(database: Database, now: datetime) -> None:
    created = await lab(database, now)
    assert (created.state, created.last_heard_at, created.active_runs) == (AgentState.NEW, None, ())
    later = now + timedelta(seconds=5)
    async with database.write() as tx:
        await agents.heard(tx, [heard(later), heard(later, name="nobody")])
    async with database.read() as tx:
        (agent,) = await agents.all_of(tx, deployment="prod")
        assert await agents.get_many(tx, {("prod", "lab"), ("prod", "nobody")}) == {("prod", "lab"): agent}
        assert await agents.get_many(tx, set()) == {}
        assert await agents.all_of(tx, deployment="staging") == []
    assert (agent.state, agent.last_heard_at, agent.incarnation) == (AgentState.ONLINE, later, "life-1")
    assert agent.active_runs == (AttemptRef("r1", 1), AttemptRef("r2", 2))
    assert agent.created_at == now


async def test_what_waits_for_runs_is_told_by_the_last_heartbeat(database: Database, now: datetime) -> None:
    assert (await lab(database, now)).standbys == ()
    waiting = (Standby("etl", ready=1, wanted=2, memory_bytes=300_000_000),)
    async with database.write() as tx:
        await agents.heard(tx, [heard(now, standbys=waiting)])
        told = await agents.get(tx, deployment="prod", name="lab")
        await agents.set_state(tx, deployment="prod", name="lab", state=AgentState.STOPPED)
        stopped = await agents.get(tx, deployment="prod", name="lab")
    assert told is not None
    assert told.standbys == waiting
    assert stopped is not None
    assert stopped.standbys == ()


async def test_creating_an_agent_again_keeps_its_state_and_takes_its_pool(database: Database, now: datetime) -> None:
    await lab(database, now)
    async with database.write() as tx:
        await agents.heard(tx, [heard(now)])
    again = await lab(database, now + timedelta(days=1), pool="gpu")
    assert (again.state, again.pool, again.created_at) == (AgentState.ONLINE, "gpu", now)


async def test_a_stopped_agent_has_no_active_runs(database: Database, now: datetime) -> None:
    await lab(database, now)
    async with database.write() as tx:
        await agents.heard(tx, [heard(now)])
        assert await agents.set_state(tx, deployment="prod", name="lab", state=AgentState.STOPPED)
        assert not await agents.set_state(tx, deployment="prod", name="lab", state=AgentState.STOPPED)
        agent = await agents.get(tx, deployment="prod", name="lab")
    assert agent is not None
    assert (agent.state, agent.active_runs) == (AgentState.STOPPED, ())


async def test_sync_revisions_grow_and_remember_for_which_life(database: Database, now: datetime) -> None:
    await lab(database, now)
    async with database.write() as tx:
        assert await agents.bump_sync(tx, deployment="prod", name="lab") == 1
        assert await agents.bump_sync(tx, deployment="prod", name="lab") == 2
        assert await agents.bump_sync(tx, deployment="prod", name="lab", above=7) == 8
        assert await agents.bump_sync(tx, deployment="prod", name="lab", above=7) == 9
        assert await agents.bump_sync(tx, deployment="prod", name="nobody") == 0
        await agents.mark_synced(tx, deployment="prod", name="lab", incarnation="life-1")
        agent = await agents.get(tx, deployment="prod", name="lab")
    assert agent is not None
    assert (agent.sync_revision, agent.synced_incarnation) == (9, "life-1")


async def test_a_revision_that_no_agent_can_remember_leaves_room_to_count_on(database: Database, now: datetime) -> None:
    await lab(database, now)
    async with database.write() as tx:
        for step in range(1, 4):
            bumped = await agents.bump_sync(tx, deployment="prod", name="lab", above=2**63 - 1)
            assert bumped == agents.MAX_REVISION + step


async def apply(database: Database, now: datetime, settings: bytes = b"v1", **changes: object) -> int:
    async with database.write() as tx:
        location = await locations.apply(
            tx,
            WantedLocation(deployment="prod", name="etl", pool="default", settings=settings),
            at=now,
            **changes,  # type: ignore[arg-type]
        )
        assert await locations.get(tx, deployment="prod", name="etl") == location
        return location.generation


async def test_equal_settings_are_the_same_generation_and_others_a_new_one(database: Database, now: datetime) -> None:
    assert [await apply(database, now), await apply(database, now)] == [1, 1]
    assert await apply(database, now, b"v2") == 2
    assert await apply(database, now, b"v2", reload=True) == 3
    async with database.read() as tx:
        history = await locations.history(tx, deployment="prod", name="etl")
    assert [(entry.generation, entry.settings) for entry in history] == [(3, b"v2"), (2, b"v2"), (1, b"v1")]


async def test_equal_settings_of_another_commit_are_a_new_generation_and_the_history_says_whose(
    database: Database, now: datetime
) -> None:
    async def deploy(commit: bytes | None, *, by: str) -> int:
        wanted = WantedLocation(
            deployment="prod", name="etl", pool="default", settings=b"v1", wanted_by=by, code_version=commit
        )
        async with database.write() as tx:
            return (await locations.apply(tx, wanted, at=now)).generation

    deployed = [(b"a", "ana"), (b"a", "bob"), (None, "bob"), (b"b", "bob"), (b"a", "ana")]
    assert [await deploy(commit, by=by) for commit, by in deployed] == [1, 1, 1, 2, 3]
    async with database.read() as tx:
        history = await locations.history(tx, deployment="prod", name="etl", limit=2)
        older = await locations.history(tx, deployment="prod", name="etl", before=history[-1].generation)
    assert [(it.generation, it.applied_by, it.code_version) for it in (*history, *older)] == [
        (3, "ana", b"a"),
        (2, "bob", b"b"),
        (1, "ana", b"a"),
    ]


async def test_a_removed_location_goes_on_counting_when_it_comes_back(database: Database, now: datetime) -> None:
    await apply(database, now)
    async with database.write() as tx:
        assert await locations.remove(tx, deployment="prod", name="etl", at=now)
        assert not await locations.remove(tx, deployment="prod", name="etl", at=now)
    async with database.read() as tx:
        assert await locations.all_of(tx) == []
        assert len(await locations.all_of(tx, deployment="prod", with_removed=True)) == 1
    assert await apply(database, now) == 2
    async with database.read() as tx:
        assert [location.removed_at for location in await locations.all_of(tx)] == [None]


async def test_a_placement_is_made_once_and_goes_with_its_agent(database: Database, now: datetime) -> None:
    await lab(database, now)
    await apply(database, now)
    async with database.write() as tx:
        placed = await placements.place(tx, deployment="prod", location="etl", agent="lab", at=now)
        assert (placed.phase, placed.generation, placed.reported_at) == (LocationPhase.PENDING, 0, None)
        served = placements.reported(placed, report(now))
        await placements.save(tx, served)
        assert await placements.place(tx, deployment="prod", location="etl", agent="lab", at=now) == served
        assert await placements.all_of(tx, deployment="prod", agent="lab") == [served]
        assert await placements.all_of(tx, location="other") == []
        assert await agents.remove(tx, deployment="prod", name="lab")
        assert not await agents.remove(tx, deployment="prod", name="lab")
        assert await placements.all_of(tx) == []


async def test_a_location_is_taken_from_one_agent_or_from_all(database: Database, now: datetime) -> None:
    await lab(database, now)
    await lab(database, now, name="barn")
    await apply(database, now)
    async with database.write() as tx:
        for agent in ("lab", "barn"):
            await placements.place(tx, deployment="prod", location="etl", agent=agent, at=now)
        assert await placements.unplace(tx, deployment="prod", location="etl", agent="lab") == 1
        assert [placement.agent for placement in await placements.all_of(tx)] == ["barn"]
        assert await placements.unplace(tx, deployment="prod", location="etl") == 1


def report(now: datetime, **changes: object) -> PlacementReport:
    values = PlacementReport(
        generation=3,
        phase=LocationPhase.SERVING,
        serving_generation=3,
        failure=b"",
        snapshot_hash="a" * 64,
        framework="dagster 1.13",
        python_version="3.11",
        reported_at=now,
    )
    return replace(values, **changes)  # type: ignore[arg-type]


async def test_a_location_that_sleeps_goes_on_telling_what_it_defines(database: Database, now: datetime) -> None:
    await lab(database, now)
    await apply(database, now)
    async with database.write() as tx:
        placed = await placements.place(tx, deployment="prod", location="etl", agent="lab", at=now)
        pulling = report(now, phase=LocationPhase.PULLING, snapshot_hash="", progress="layers 1 of 7")
        await placements.save(tx, placements.reported(placed, pulling))
        first = await placements.get(tx, deployment="prod", location="etl", agent="lab")
        assert first is not None
        await placements.save(tx, placements.reported(first, report(now, phase=LocationPhase.ASLEEP)))
        last = await placements.get(tx, deployment="prod", location="etl", agent="lab")
    assert (first.phase, first.progress) == (LocationPhase.PULLING, "layers 1 of 7")
    assert last is not None
    assert (last.phase, last.progress, last.snapshot_hash) == (LocationPhase.ASLEEP, "", "a" * 64)


async def test_a_report_on_an_older_generation_tells_only_what_serves(database: Database, now: datetime) -> None:
    await lab(database, now)
    await apply(database, now)
    async with database.write() as tx:
        placed = await placements.place(tx, deployment="prod", location="etl", agent="lab", at=now)
    serving = placements.reported(placed, report(now))
    failing = report(now, generation=4, phase=LocationPhase.FAILED, failure=b"f", snapshot_hash="", framework="")
    failed = placements.reported(serving, failing)
    assert (failed.phase, failed.failure) == (LocationPhase.FAILED, b"f")
    assert (failed.snapshot_hash, failed.framework) == ("a" * 64, "dagster 1.13")
    restarted = placements.reported(failed, report(now, phase=LocationPhase.STARTING, serving_generation=0))
    assert (restarted.generation, restarted.phase, restarted.serving_generation) == (4, LocationPhase.FAILED, 0)
    back = placements.reported(restarted, report(now, snapshot_hash="b" * 64))
    assert (back.phase, back.failure, back.serving_generation) == (LocationPhase.FAILED, b"f", 3)
    assert back.snapshot_hash == "b" * 64


async def test_a_snapshot_is_stored_once(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await snapshots.put(tx, snapshot_hash="h", body=b"first", at=now)
        await snapshots.put(tx, snapshot_hash="h", body=b"second", at=now)
        assert await snapshots.get(tx, "h") == b"first"
        assert await snapshots.get(tx, "none") is None
        assert await snapshots.known(tx, {"h", "none"}) == {"h"}


def piece(body: bytes, *, index: int, count: int, of: bytes, agent: str = "lab") -> snapshot_pieces.Piece:
    return snapshot_pieces.Piece(
        deployment="prod",
        agent=agent,
        snapshot_hash=sha256(of).hexdigest(),
        index=index,
        count=count,
        body=body,
    )


async def waiting(database: Database) -> set[tuple[str, str]]:
    async with database.read() as tx:
        rows = await tx.execute(select(SNAPSHOT_PIECES.c.agent, SNAPSHOT_PIECES.c.hash))
        return {(row.agent, row.hash) for row in rows}


async def take(database: Database, it: snapshot_pieces.Piece, *, at: datetime) -> None:
    async with database.write() as tx:
        await snapshot_pieces.keep(tx, it, at=at)
    await snapshot_pieces.complete(database, it, at=at)


async def test_a_snapshot_in_pieces_is_stored_when_the_last_one_is_there(database: Database, now: datetime) -> None:
    whole = bytes(range(256)) * 10
    parts = [whole[start : start + 1000] for start in range(0, len(whole), 1000)]
    digest = sha256(whole).hexdigest()
    for index in (2, 0, 0, 1):
        async with database.read() as tx:
            assert await snapshots.get(tx, digest) is None
        await take(database, piece(parts[index], index=index, count=3, of=whole), at=now)
    # From another agent it is not kept any more.
    await take(database, piece(parts[0], index=0, count=3, of=whole, agent="barn"), at=now)
    async with database.read() as tx:
        assert await snapshots.get(tx, digest) == whole
        assert await snapshots.size(tx, digest) == len(whole)
        assert await snapshots.piece(tx, digest, offset=500, length=2000) == whole[500:2500]
        assert await snapshots.piece(tx, digest, offset=2500, length=1000) == whole[2500:]
        assert await snapshots.piece(tx, digest, offset=2600, length=1000) == b""
        assert (await snapshots.size(tx, "none"), await snapshots.piece(tx, "none", offset=0, length=9)) == (0, b"")
    assert await waiting(database) == {("lab", digest)}


async def test_pieces_that_are_not_what_their_hash_says_are_removed(database: Database, now: datetime) -> None:
    digest = sha256(b"truth").hexdigest()
    await take(database, piece(b"forged", index=0, count=2, of=b"truth"), at=now)
    # What another agent sends of the same snapshot is its own.
    await take(database, piece(b"tr", index=0, count=2, of=b"truth", agent="barn"), at=now)
    await take(database, piece(b"uth", index=1, count=2, of=b"truth"), at=now)
    async with database.read() as tx:
        assert await snapshots.get(tx, digest) is None
    assert await waiting(database) == {("barn", digest)}
    await take(database, piece(b"uth", index=1, count=2, of=b"truth", agent="barn"), at=now)
    async with database.read() as tx:
        assert await snapshots.get(tx, digest) == b"truth"


async def test_no_transaction_writes_more_than_a_piece_of_a_large_snapshot(tmp_path: Path, now: datetime) -> None:
    size, count = 1024**2, 12
    whole = bytes(range(256)) * (size * count // 256)
    log = tmp_path / "isthmus.db-wal"
    async with Database.open(f"sqlite:///{tmp_path}/isthmus.db") as database:
        await database.migrate()
        # Somebody who reads all the time keeps the log from being cut: it tells all that is written.
        async with database.read() as reader:
            await snapshots.known(reader, ["any"])
            parts = [
                piece(whole[start : start + size], index=start // size, count=count, of=whole)
                for start in range(0, len(whole), size)
            ]
            for part in parts:
                before = log.stat().st_size
                async with database.write() as tx:
                    await snapshot_pieces.keep(tx, part, at=now)
                assert log.stat().st_size - before < 2 * size
            kept = log.stat().st_size
            await snapshot_pieces.complete(database, parts[-1], at=now)
            assert log.stat().st_size - kept < size / 10
        async with database.read() as tx:
            assert await snapshots.get(tx, parts[-1].snapshot_hash) == whole


async def test_pieces_are_removed_with_their_snapshot_and_not_before(database: Database, now: datetime) -> None:
    for index, body in enumerate((b"tr", b"uth")):
        await take(database, piece(body, index=index, count=2, of=b"truth"), at=now)
    later = now + timedelta(days=30)
    await take(database, piece(b"x", index=0, count=2, of=b"other"), at=later)
    async with database.read() as tx:
        assert await others.left_pieces(tx, 10, stored_before=later) == []
    async with database.write() as tx:
        await others.note_idle(tx, [sha256(b"truth").hexdigest()], at=now)
        await others.remove_snapshots(tx, [sha256(b"truth").hexdigest()])
    async with database.read() as tx:
        left = await others.left_pieces(tx, 10, stored_before=later)
    assert [key.piece for key in left] == [0, 1]
    # One of them is sent again meanwhile.
    await take(database, piece(b"tr", index=0, count=2, of=b"truth"), at=later)
    async with database.write() as tx:
        await others.remove_pieces(tx, left, stored_before=later)
    assert await waiting(database) == {("lab", sha256(text).hexdigest()) for text in (b"truth", b"other")}
    await take(database, piece(b"uth", index=1, count=2, of=b"truth"), at=later)
    async with database.read() as tx:
        assert await snapshots.get(tx, sha256(b"truth").hexdigest()) == b"truth"


async def test_what_was_half_sent_is_bounded_in_number_and_age(database: Database, now: datetime) -> None:
    for number in range(6):
        half = piece(b"x", index=0, count=2, of=bytes([number]))
        await take(database, half, at=now + timedelta(minutes=number))
    kept = {("lab", sha256(bytes([number])).hexdigest()) for number in range(2, 6)}
    assert await waiting(database) == kept
    late = piece(b"x", index=0, count=2, of=b"late", agent="barn")
    await take(database, late, at=now + timedelta(days=2))
    assert await waiting(database) == {("barn", sha256(b"late").hexdigest())}


async def test_the_fleet_in_one_statement_is_what_its_tables_hold(database: Database, now: datetime) -> None:
    for deployment in ("prod", "staging"):
        await lab(database, now, deployment=deployment)
        async with database.write() as tx:
            for name in ("etl", "gone", "ml"):
                wanted = WantedLocation(deployment=deployment, name=name, pool="default", settings=b"settings")
                await locations.apply(tx, wanted, at=now)
            await locations.remove(tx, deployment=deployment, name="gone", at=now)
            await placements.place(tx, deployment=deployment, location="etl", agent="lab", at=now)
    async with database.write() as tx:
        await agents.heard(tx, [heard(now, standbys=(Standby("etl", ready=1, wanted=2, memory_bytes=3),))])
    async with database.read() as tx:
        for asked, count in ((None, 2), ("prod", 1), ("nowhere", 0)):
            found = await fleet_rows.read(tx, deployment=asked)
            assert len(found.agents) == count
            assert list(found.agents) == await agents.all_of(tx, deployment=asked)
            assert list(found.locations) == await locations.all_of(tx, deployment=asked)
            assert list(found.placements) == await placements.all_of(tx, deployment=asked)
