"""A pool of threads is made and used when the module is imported, and used again by ops."""

from concurrent.futures import ThreadPoolExecutor

import dagster as dg

POOL = ThreadPoolExecutor(4, thread_name_prefix="fetch")
NAMES = list(POOL.map(str.upper, ["a", "b", "c"]))


@dg.op
def fetch(context: dg.OpExecutionContext) -> None:
    context.log.info(" ".join(POOL.map(str.lower, NAMES)))


@dg.job(executor_def=dg.in_process_executor)
def fetching() -> None:
    fetch()


defs = dg.Definitions(jobs=[fetching])
