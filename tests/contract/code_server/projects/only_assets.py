"""A module with nothing but assets."""

import dagster as dg


@dg.asset
def lonely() -> int:
    return 1
