"""What all tables share: the metadata that they are registered in, how constraints are named, and types of ids."""

from typing import Final

from sqlalchemy import MetaData, String

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Names of deployments, agents, locations: at most 63 characters by the contract.
NAME: Final = String(63)
RUN_ID: Final = String(36)
