import dagster as dg


@dg.asset
def planks() -> int:
    return 7
