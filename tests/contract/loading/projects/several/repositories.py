import dagster as dg


@dg.op
def count() -> int:
    return 1


@dg.job
def nightly():
    count()


@dg.job
def only_in_finance():
    count()


@dg.job(name="nightly", description="the other one")
def nightly_of_sales():
    count()


@dg.asset
def ledger() -> int:
    return 1


@dg.asset
def orders() -> int:
    return 2


@dg.repository
def finance():
    return [nightly, only_in_finance, ledger, dg.ScheduleDefinition(job=nightly, cron_schedule="0 1 * * *")]


@dg.repository
def sales():
    return [nightly_of_sales, orders]
