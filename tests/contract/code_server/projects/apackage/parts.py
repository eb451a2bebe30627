"""A part of the package."""

import dagster as dg


@dg.asset
def part() -> int:
    # Imported when it runs: the working directory must be on the path then, too.
    import late

    return late.VALUE
