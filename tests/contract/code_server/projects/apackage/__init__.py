"""A package whose definitions come from a sibling module."""

import dagster as dg

from apackage.parts import part

defs = dg.Definitions(assets=[part])
