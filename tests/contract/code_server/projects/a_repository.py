"""A module with a repository, and a function that makes definitions."""

# a user's project, not the product

import dagster as dg


@dg.asset
def kept() -> int:
    return 1


@dg.repository
def shelf():
    return [kept]


def make_definitions() -> dg.Definitions:
    return dg.Definitions(assets=[kept.with_attributes()])
