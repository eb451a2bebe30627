"""What the project's assets have done: it knows nothing of Dagster, and reports by Pipes."""

import os

from dagster_pipes import PipesMetadataValue, open_dagster_pipes

with open_dagster_pipes() as pipes:
    rows = pipes.get_extra("rows")
    print(f"{rows} rows", flush=True)
    if rows == -1:
        raise ValueError("there is nothing to work on")
    if rows == -2:
        os._exit(7)
    pipes.log.warning(f"read {rows} rows")
    pipes.report_custom_message({"rows": rows, "names": ["a", "b"]})
    if pipes.is_asset_step:
        metadata: dict[str, PipesMetadataValue] = {
            "rows": rows,
            "ratio": {"raw_value": 0.5, "type": "float"},
            "page": {"raw_value": "https://example.com", "type": "url"},
            "note": {"raw_value": "*all* of it", "type": "md"},
            "facts": {"raw_value": {"a": [1, None]}, "type": "json"},
            "file": {"raw_value": "data/rows.csv", "type": "path"},
            "made_of": {"raw_value": "raw/rows", "type": "asset"},
            "at": {"raw_value": 1700000000.5, "type": "timestamp"},
            "nothing": {"raw_value": None, "type": "null"},
            "columns": {"raw_value": {"columns": [{"name": "id", "type": "int"}]}, "type": "table_schema"},
        }
        if pipes.is_partition_step:
            metadata["part"] = pipes.partition_key
        pipes.report_asset_materialization(metadata=metadata, data_version="v1")
        if not pipes.is_partition_step:
            pipes.report_asset_check(check_name="is_full", passed=True, metadata={"rows": rows})
            pipes.report_asset_check(check_name="is_fresh", passed=False, severity="WARN", metadata={"days": 3})
