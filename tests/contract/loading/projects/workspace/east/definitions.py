import dagster as dg


@dg.asset
def sunrise() -> int:
    return 6


defs = dg.Definitions(assets=[sunrise])
