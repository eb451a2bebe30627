"""A project whose import starts a thread that its ops rely on: a fork would leave it behind."""

# a user's project, not the product

import threading

import dagster as dg

threading.Thread(target=threading.Event().wait, name="user-poller", daemon=True).start()


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    names = [thread.name for thread in threading.enumerate()]
    context.log.info(f"poller {'user-poller' in names}")


@dg.job(executor_def=dg.in_process_executor)
def together() -> None:
    look()


@dg.job
def apart() -> None:
    look()


defs = dg.Definitions(jobs=[together, apart])
