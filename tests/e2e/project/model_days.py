"""An asset of another location, each day of which needs the same day of the first location's."""

import os
from pathlib import Path
from uuid import uuid4

from dagster import AssetExecutionContext, AssetSpec, Definitions, asset
from raw_days import DAYS


@asset(partitions_def=DAYS, deps=[AssetSpec("raw", partitions_def=DAYS)])
def model(context: AssetExecutionContext) -> None:
    folder = Path(os.environ["MADE_IN"])
    if not list(folder.glob(f"raw.{context.partition_key}.*")):
        raise LookupError(context.partition_key)
    (folder / f"model.{context.partition_key}.{uuid4()}").touch()


defs = Definitions(assets=[model])
