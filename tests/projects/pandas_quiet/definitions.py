"""Libraries with threads of their own are imported, and used by assets alone: nothing speaks against a fork."""

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.cluster import KMeans

SIZES = pd.DataFrame({"name": ["a", "b", "c"], "size": [1, 2, 3]})


@dg.asset
def sizes() -> dg.MaterializeResult:
    table = pa.Table.from_pandas(SIZES).group_by("name").aggregate([("size", "sum")])
    return dg.MaterializeResult(metadata={"rows": table.num_rows, "sum": int(SIZES["size"].sum())})


@dg.asset(deps=[sizes])
def clusters() -> dg.MaterializeResult:
    points = np.random.default_rng(1).random((2000, 3))
    distances = points @ points.T
    model = KMeans(3, n_init=1, random_state=1).fit(points)
    return dg.MaterializeResult(metadata={"shape": str(distances.shape), "clusters": len(model.cluster_centers_)})


defs = dg.Definitions(assets=[sizes, clusters], jobs=[dg.define_asset_job("all_of_it")])
