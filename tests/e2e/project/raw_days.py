"""An asset of many days, some of which fail while a file says so. Each day that is made leaves a file of its own."""

import os
from pathlib import Path
from uuid import uuid4

from dagster import AssetExecutionContext, Definitions, StaticPartitionsDefinition, asset

DAYS = StaticPartitionsDefinition([f"day-{number:02}" for number in range(24)])
BAD = {"day-03", "day-17"}


@asset(partitions_def=DAYS)
def raw(context: AssetExecutionContext) -> None:
    folder = Path(os.environ["MADE_IN"])
    if (folder / "broken").exists() and context.partition_key in BAD:
        raise ValueError(context.partition_key)
    (folder / f"raw.{context.partition_key}.{uuid4()}").touch()


defs = Definitions(assets=[raw])
