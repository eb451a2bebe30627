import dagster as dg
from western import LENGTH


@dg.asset
def sunset() -> int:
    return LENGTH


chosen = dg.Definitions(assets=[sunset])
another = dg.Definitions()
