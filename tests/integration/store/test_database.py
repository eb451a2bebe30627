"""Opening, migrating and locking, on both databases."""

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from isthmus_store import agents, dead_letters, migrations, runs, schema
from isthmus_store.database import Database
from isthmus_store.errors import (
    DatabaseUnavailableError,
    RejectedWriteError,
    SchemaMismatchError,
    TransientStoreError,
    UnusableDatabaseError,
)
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.dead_letter import NewDeadLetter
from isthmus_store.record.run import NewRun
from isthmus_store.table.catalog import SCHEMA
from sqlalchemy import Connection, text
from support.eventually import patiently
from support.tcp_proxy import TcpProxy


def letter(now: datetime, reason: str = "poison") -> NewDeadLetter:
    return NewDeadLetter(received_at=now, queue="q", reason=reason, instruction_id="", sender="lab", body=b"\x00\xff")


async def test_the_migrated_schema_is_the_one_that_the_code_knows(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), SCHEMA))

    async with database.write() as tx:
        assert await tx.connection.run_sync(differences) == []


def test_the_revision_that_the_code_names_is_the_newest_step() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


async def test_migrating_twice_keeps_what_is_there(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await dead_letters.add(tx, letter(now))
    await database.migrate()
    async with database.read() as reader:
        (kept,) = await dead_letters.recent(reader)
    assert (kept.received_at, kept.body, kept.reason) == (now, b"\x00\xff", "poison")


async def test_postgresql_compiles_no_statement_whoever_begins(database: Database) -> None:
    if not database.is_postgresql:
        return
    for begin in (database.read, database.look, database.write, database.write_at_once):
        async with begin() as tx:
            assert (await tx.execute(text("SHOW jit"))).scalar_one() == "off"
            # What comes next must find it so, too.
            await tx.connection.rollback()
            await tx.connection.begin()


async def test_processes_that_start_at_once_migrate_once(database_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from isthmus_store.database import Database\n"
        "async def main():\n"
        "    async with Database.open(sys.argv[1]) as database:\n"
        "        await database.migrate()\n"
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            database_url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        for _ in range(4)
    ]
    outputs = [(await process.communicate())[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert sum("store_migrated" in output for output in outputs) == 1


async def test_the_step_to_retention_forgets_what_settled_commands_said(database_url: str) -> None:
    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")

    insertion = text(
        "INSERT INTO instructions (id, deployment, agent, is_control, kind, run_id, attempt, body, created_at, not_after,"
        " settled_at) VALUES (:id, 'prod', 'lab', false, 'launch_run', '', 1, :body, 1, 2, :settled_at)"
    )
    async with Database.open(database_url) as database:
        async with database.write() as tx:
            await tx.connection.run_sync(upgrade)
            for name, settled_at in (("open", None), ("settled", 3)):
                values = {"id": name, "body": b"PASSWORD=hunter2", "settled_at": settled_at}
                await tx.execute(insertion, values)
        await database.migrate()
        async with database.read() as reader:
            rows = await reader.execute(text("SELECT id, body FROM instructions"))
            assert {row.id: bytes(row.body) for row in rows} == {"open": b"PASSWORD=hunter2", "settled": b""}


async def test_a_schema_of_a_newer_release_is_left_alone(database: Database) -> None:
    async with database.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatchError, match="9999"):
        await database.migrate()


async def test_an_error_rolls_the_whole_transaction_back(database: Database, now: datetime) -> None:
    class OwnError(Exception):
        pass

    async def fail_half_way() -> None:
        async with database.write() as tx:
            await dead_letters.add(tx, letter(now))
            raise OwnError

    with pytest.raises(OwnError):
        await fail_half_way()
    async with database.read() as reader:
        assert await dead_letters.recent(reader) == []


async def test_a_cancelled_writer_leaves_nothing_behind(database: Database, now: datetime) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        async with database.write() as tx:
            await dead_letters.add(tx, letter(now))
            entered.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(hang())
        await entered.wait()
        task.cancel()
    async with patiently(5), database.write() as tx:
        await dead_letters.add(tx, letter(now, "after"))
    async with database.read() as reader:
        assert [kept.reason for kept in await dead_letters.recent(reader)] == ["after"]


async def test_a_writer_cancelled_while_it_waits_for_its_turn_goes_quietly(database: Database, now: datetime) -> None:
    async def write() -> None:
        async with database.write() as tx:
            await dead_letters.add(tx, letter(now))

    for _ in range(5):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write()) for _ in range(10)]
            await asyncio.wait(tasks[:1])
            for task in tasks:
                task.cancel()
        assert all(task.cancelled() or task.exception() is None for task in tasks)
    async with patiently(5):
        await write()


async def test_a_reader_sees_one_state_and_never_waits_for_the_writer(database: Database, now: datetime) -> None:
    async with database.read() as reader:
        assert await dead_letters.recent(reader) == []
        async with patiently(5), database.write() as tx:
            await dead_letters.add(tx, letter(now))
            assert await dead_letters.recent(reader) == []
        assert await dead_letters.recent(reader) == []
    async with database.read() as reader:
        assert len(await dead_letters.recent(reader)) == 1


async def test_a_reader_cannot_write(database: Database, now: datetime) -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"read-?only"):
        async with database.read() as reader:
            await reader.execute(text("DELETE FROM runs"))


async def test_a_broken_constraint_is_permanent(database: Database, now: datetime) -> None:
    with pytest.raises(RejectedWriteError, match="refused a value"):
        async with database.write() as tx:
            await tx.execute(text("INSERT INTO run_tags (run_id, key, value) VALUES ('nobody', 'a', 'b')"))


async def test_an_unmigrated_database_says_what_to_do(database_url: str) -> None:
    async with Database.open(database_url) as database:
        with pytest.raises(UnusableDatabaseError, match=r"Database\.migrate"):
            async with database.read() as reader:
                await runs.get(reader, "any")


async def test_a_name_is_held_by_one_transaction_at_a_time(database: Database) -> None:
    inside = 0

    async def enter() -> None:
        nonlocal inside
        async with database.write() as tx:
            await tx.exclusive("fleet")
            inside += 1
            await tx.execute(text("SELECT 1"))
            assert inside == 1
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(6)))


async def test_a_database_that_is_away_is_transient_and_comes_back(postgres_url: str, now: datetime) -> None:
    parts = urlsplit(postgres_url)
    async with (
        TcpProxy.to(parts.hostname or "", parts.port or 0) as proxy,
        Database.open(proxy.url_for(postgres_url)) as database,
    ):
        await database.migrate()
        proxy.refuse()
        with pytest.raises(DatabaseUnavailableError, match="cannot be reached"):
            async with database.write() as tx:
                await dead_letters.add(tx, letter(now))
        proxy.resume()
        async with database.write() as tx:
            await dead_letters.add(tx, letter(now))

        async def be_cut_off() -> None:
            async with database.write() as tx:
                await dead_letters.add(tx, letter(now))
                proxy.cut()
                await dead_letters.add(tx, letter(now))

        with pytest.raises(DatabaseUnavailableError):
            await be_cut_off()
        async with database.read() as reader:
            assert len(await dead_letters.recent(reader)) == 1


async def test_a_missing_folder_is_transient_and_works_once_it_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "no" / "such"
    async with Database.open(f"sqlite:///{folder}/isthmus.db") as database:
        with pytest.raises(TransientStoreError, match="unable to open database file"):
            await database.migrate()
        folder.mkdir(parents=True)
        await database.migrate()


async def test_sqlite_is_durable_and_keeps_its_references(tmp_path: Path) -> None:
    async with Database.open(f"sqlite:///{tmp_path}/isthmus.db") as database, database.write() as tx:
        pragmas = [
            (await tx.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


async def test_two_sqlite_writers_of_two_pools_take_turns(tmp_path: Path, now: datetime) -> None:
    address = f"sqlite:///{tmp_path}/isthmus.db"
    agent = NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=now)
    async with Database.open(address) as first, Database.open(address) as second:
        await asyncio.gather(first.migrate(), second.migrate())
        async with first.write() as tx:
            await agents.insert(tx, agent)

        async def bump(database: Database) -> None:
            for _ in range(20):
                async with database.write() as tx:
                    found = await agents.get(tx, deployment="prod", name="lab")
                    assert found is not None
                    await tx.execute(text(f"UPDATE agents SET sync_revision = {found.sync_revision + 1}"))

        await asyncio.gather(bump(first), bump(second))
        async with first.read() as reader:
            found = await agents.get(reader, deployment="prod", name="lab")
    assert found is not None
    assert found.sync_revision == 40


async def test_a_naive_time_is_refused(database: Database, now: datetime) -> None:
    run = NewRun(
        run_id="r", deployment="prod", location="etl", job_name="j", request=b"", queued_at=now.replace(tzinfo=None)
    )
    with pytest.raises(RejectedWriteError):
        async with database.write() as tx:
            await runs.insert(tx, run)
