import os

import dagster as dg


@dg.asset(name="flour", description=os.environ.get("MILL_NAME", "nameless"))
def one() -> int:
    return 1
