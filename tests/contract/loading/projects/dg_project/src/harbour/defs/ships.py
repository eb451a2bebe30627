import dagster as dg


@dg.asset
def ships() -> int:
    return 3


@dg.asset(deps=[ships])
def cargo() -> int:
    return 5
