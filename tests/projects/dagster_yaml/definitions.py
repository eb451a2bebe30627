"""What a dagster.yaml says of runs: loggers of libraries, the level, a handler, and variables that were there at import."""

import logging
import os
from pathlib import Path

import dagster as dg

REGION = os.environ["SUPPLIER_REGION"]
LIBRARY, OTHER = logging.getLogger("supplier.stock"), logging.getLogger("unheard")


@dg.op
def stock(context: dg.OpExecutionContext) -> None:
    LIBRARY.warning("of a library in %s", REGION)
    LIBRARY.debug("below the level")
    OTHER.error("of nobody's")
    context.log.debug("below the level, too")
    context.log.info("of the step")
    context.log.error("for the handler")


@dg.op(ins={"after": dg.In(dg.Nothing)})
def told(context: dg.OpExecutionContext) -> None:
    lines = Path("told.log").read_text().splitlines()
    context.log.info(f"the handler heard {sorted(line.split()[0] for line in lines)}")


@dg.job(executor_def=dg.in_process_executor)
def stocking() -> None:
    told(stock())


@dg.job(tags={"database": "redshift", "dagster/max_retries": "1"})
def apart() -> None:
    stock()


defs = dg.Definitions(jobs=[stocking, apart])
