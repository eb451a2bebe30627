"""Definitions that stand in the folder by themselves."""

import dagster as dg
from shop.components.table import Table


@dg.component_instance
def broken(context: dg.ComponentLoadContext) -> Table:
    return Table(table="broken", rows=-1)
