import dagster as dg


@dg.asset
def sand() -> int:
    return 40


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(assets=[sand])
