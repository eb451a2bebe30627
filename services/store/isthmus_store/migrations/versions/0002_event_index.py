"""An index over the events of assets and run states, dynamic partitions, and the changes that instances asked for."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op
from isthmus.v1.telemetry_pb2 import Event

from isthmus_store.fact import INDEXED_KINDS, fact_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = sa.String(63)
_ID = sa.String(36)
_WORD = sa.String(32)
_INSTANT = sa.BigInteger()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Events that are read, and rows that are written, at a time.
_PORTION = 1000


def upgrade() -> None:
    """Make the tables, and index the events that are there."""
    _event_index()
    _dynamic_partitions()
    _applied_queries()
    _index_what_is_there()


def _event_index() -> None:
    op.create_table(
        "event_index",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("check_name", sa.Text(), nullable=False),
        sa.Column("outcome", _WORD, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("position", _NUMBER, nullable=False),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_index"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_event_index_deployment_asset_kind_id", "event_index", ["deployment", "asset", "kind", "id"], unique=False
    )
    op.create_index(
        "ix_event_index_deployment_asset_kind_partition_id",
        "event_index",
        ["deployment", "asset", "kind", "partition", "id"],
        unique=False,
    )


def _dynamic_partitions() -> None:
    op.create_table(
        "dynamic_partitions",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("added_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dynamic_partitions"),
        sa.UniqueConstraint("deployment", "name", "key", name="uq_dynamic_partitions_deployment_name_key"),
    )


def _applied_queries() -> None:
    op.create_table(
        "applied_queries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("applied_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_applied_queries"),
    )
    op.create_index("ix_applied_queries_applied_at", "applied_queries", ["applied_at"], unique=False)


def _index_what_is_there() -> None:
    columns = ("deployment", "kind", "asset", "partition", "check_name", "outcome", "run_id", "position", "occurred_at")
    table = sa.table("event_index", *(sa.column(name) for name in columns))
    rows: list[dict[str, object]] = []
    for row in _indexed_events():
        fact = fact_of(Event.FromString(row.body))
        if fact is None:
            continue
        about = {name: getattr(fact, name) for name in ("asset", "partition", "check_name", "outcome")}
        place = {name: getattr(row, name) for name in ("deployment", "kind", "run_id", "position", "occurred_at")}
        rows.append({**about, **place})
        if len(rows) >= _PORTION:
            op.bulk_insert(table, rows)
            rows = []
    if rows:
        op.bulk_insert(table, rows)


def _indexed_events() -> Iterator[sa.Row[tuple[object, ...]]]:
    """Give the events to be indexed in the order in which they were stored."""
    found = sa.text(
        "SELECT runs.deployment, events.kind, events.run_id, events.position, events.occurred_at, events.body"
        " FROM events JOIN runs ON runs.run_id = events.run_id WHERE events.kind IN :kinds"
        " ORDER BY events.stored_at, events.run_id, events.position"
    ).bindparams(sa.bindparam("kinds", value=sorted(INDEXED_KINDS), expanding=True))
    result = op.get_bind().execute(found)
    while part := result.fetchmany(_PORTION):
        yield from part
