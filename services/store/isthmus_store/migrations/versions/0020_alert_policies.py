"""Alert policies, and what they took in."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and give alerts what messages of policies have."""
    op.add_column("alerts", sa.Column("policy", sa.String(63), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("dedup", sa.String(64), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("facts", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_alerts_deployment_policy_created_at", "alerts", ["deployment", "policy", "created_at"])
    op.create_table(
        "alert_policies",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("revision", _NUMBER, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("muted_at", sa.BigInteger(), nullable=True),
        sa.Column("muted_until", sa.BigInteger(), nullable=True),
        sa.Column("muted_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("mute_why", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("deployment", "name", name="pk_alert_policies"),
    )
    _make_books()


def _make_books() -> None:
    op.create_table(
        "alert_facts",
        *_policy(),
        sa.Column("fact", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "policy", "fact", name="pk_alert_facts"),
    )
    op.create_index("ix_alert_facts_at", "alert_facts", ["at"])
    op.create_table(
        "alert_incidents",
        *_policy(),
        sa.Column("dedup", sa.String(64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "policy", "dedup", name="pk_alert_incidents"),
    )
    op.create_table(
        "alert_groups",
        *_policy(),
        sa.Column("dedup", sa.String(64), nullable=False),
        sa.Column("is_over", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "policy", "dedup", "is_over", name="pk_alert_groups"),
    )
    op.create_table(
        "alert_cursors",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("event_id", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_alert_cursors"),
    )


def _policy() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("deployment", sa.String(63), nullable=False), sa.Column("policy", sa.String(63), nullable=False)
