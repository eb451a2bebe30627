"""A component of the project's own."""

from dataclasses import dataclass, field

import dagster as dg


@dataclass
class Table(dg.Component, dg.Resolvable):
    """A table that is checked."""

    table: str
    rows: int
    upstream: list[str] = field(default_factory=list)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Make an asset and its check."""
        rows = self.rows

        @dg.asset(name=self.table, deps=self.upstream, kinds={"table"}, group_name=context.path.stem)
        def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            context.log.info(f"{rows} rows of {context.asset_key.to_user_string()}")
            if rows < 0:
                raise dg.Failure("a table has no rows less than none", metadata={"rows": rows})
            return dg.MaterializeResult(metadata={"dagster/row_count": rows})

        @dg.asset_check(asset=table, name="has_rows")
        def has_rows() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=rows > 0, metadata={"rows": rows})

        return dg.Definitions(assets=[table], asset_checks=[has_rows])
