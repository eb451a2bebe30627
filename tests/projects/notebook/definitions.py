"""A notebook is an asset and is handed its input; another one fails in a cell."""

from pathlib import Path

import dagster as dg
from dagstermill import ConfigurableLocalOutputNotebookIOManager, define_dagstermill_asset

_HERE = Path(__file__).parent


@dg.asset
def numbers() -> list[int]:
    return [1, 2, 3]


report = define_dagstermill_asset(
    "report", str(_HERE / "report.ipynb"), ins={"numbers": dg.AssetIn("numbers")}, config_schema={"factor": int}
)
wrong = define_dagstermill_asset("wrong", str(_HERE / "wrong.ipynb"))

defs = dg.Definitions(
    assets=[numbers, report, wrong],
    jobs=[
        dg.define_asset_job("reports", selection=[numbers, report]),
        dg.define_asset_job("wrongs", selection=[wrong]),
    ],
    resources={"output_notebook_io_manager": ConfigurableLocalOutputNotebookIOManager()},
)
