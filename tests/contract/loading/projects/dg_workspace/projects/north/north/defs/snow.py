import dagster as dg


@dg.asset
def snow() -> int:
    return 0
