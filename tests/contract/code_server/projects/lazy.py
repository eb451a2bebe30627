"""A module whose definitions are made on demand."""

import dagster as dg


@dg.asset
def made_late() -> int:
    return 1


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(assets=[made_late])
