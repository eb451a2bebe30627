"""Definitions whose import takes as long as a file is there."""

import os
import time
from pathlib import Path

from dagster import Definitions, job, op

while Path(os.environ["HOLD"]).exists():
    time.sleep(0.02)


@op
def one() -> int:
    return 1


@job
def quick() -> None:
    one()


defs = Definitions(jobs=[quick])
