"""A component is handed a secret by its YAML; its assets use it, and it is told to nobody."""

from pathlib import Path

import dagster as dg

defs = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
