"""A small model is fitted with scikit-learn (OpenMP) when the module is imported, and another one in an asset."""

import dagster as dg
import numpy as np
from sklearn.cluster import KMeans

POINTS = np.random.default_rng(1).random((3000, 4))
BASELINE = KMeans(3, n_init=2, random_state=1).fit(POINTS)


@dg.asset
def clusters() -> dg.MaterializeResult:
    model = KMeans(4, n_init=2, random_state=1).fit(POINTS)
    return dg.MaterializeResult(metadata={"clusters": len(set(model.labels_.tolist()))})


defs = dg.Definitions(assets=[clusters], jobs=[dg.define_asset_job("fit", executor_def=dg.in_process_executor)])
