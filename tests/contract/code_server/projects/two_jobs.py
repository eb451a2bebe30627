"""A module with two jobs and nothing that holds them together."""

import dagster as dg


@dg.op
def one() -> None: ...


@dg.job
def first() -> None:
    one()


@dg.job
def second() -> None:
    one()
