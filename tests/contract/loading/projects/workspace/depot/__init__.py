from pathlib import Path

import dagster as dg

# Read at import, from the folder in which Dagster is started.
WORKSPACE = Path("workspace.yaml").read_text()


@dg.asset
def goods() -> int:
    return len(WORKSPACE)
