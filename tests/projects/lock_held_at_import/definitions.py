"""A thread that the import starts holds a lock at every moment but some; ops take it."""

import threading

import dagster as dg

LOCK = threading.Lock()
IS_HELD = threading.Event()


def refresh() -> None:
    while True:
        with LOCK:
            IS_HELD.set()
            threading.Event().wait(0.2)
        threading.Event().wait(0.02)


threading.Thread(target=refresh, name="refresher", daemon=True).start()
IS_HELD.wait()


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    with LOCK:
        context.log.info("looked")


@dg.job(executor_def=dg.in_process_executor)
def together() -> None:
    look()


@dg.job
def apart() -> None:
    look()


defs = dg.Definitions(jobs=[together, apart])
