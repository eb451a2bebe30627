"""A feed of another company, read with a token."""

import hashlib

import dagster as dg


class Feed(dg.Component, dg.Model, dg.Resolvable):
    """Makes an asset for each table, and a job that shows what happens when the token is refused."""

    token: str
    tables: list[str]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Make the definitions."""
        del context
        return dg.Definitions(
            assets=[self._asset(table) for table in self.tables],
            jobs=[dg.define_asset_job("reading"), self._refused()],
            resources={"session": Session(token=self.token)},
        )

    def _asset(self, table: str) -> dg.AssetsDefinition:
        token = self.token

        @dg.asset(name=table, group_name="feed", required_resource_keys={"session"})
        def read(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            assert context.resources.session.token == token
            signature = hashlib.sha256(token.encode()).hexdigest()
            context.log.info(f"signed {signature[:8]}")
            return dg.MaterializeResult(metadata={"signature": signature[:8], "session": dg.MetadataValue.text("open")})

        return read

    def _refused(self) -> dg.JobDefinition:
        @dg.op(required_resource_keys={"session"})
        def ask(context: dg.OpExecutionContext) -> None:
            raise PermissionError(f"a token of {len(context.resources.session.token)} letters was refused")

        @dg.job
        def refused() -> None:
            ask()

        return refused


class Session(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Keeps the token for whoever reads."""

    token: str
