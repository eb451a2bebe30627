"""A module with nothing but one job."""

import dagster as dg


@dg.op
def one() -> None: ...


@dg.job
def only_job() -> None:
    one()
