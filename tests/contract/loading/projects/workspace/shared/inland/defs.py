import dagster as dg


@dg.op
def walk() -> None: ...


@dg.job
def stroll():
    walk()
