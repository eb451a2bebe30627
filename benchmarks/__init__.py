"""Isthmus measured, side by side with Dagster itself. Run by `make bench`."""

import sys
from pathlib import Path

# The servers and the system that the tests start are the ones to measure.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
