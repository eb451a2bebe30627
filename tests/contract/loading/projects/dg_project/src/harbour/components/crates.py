import dagster as dg


class Crates(dg.Component, dg.Model, dg.Resolvable):
    names: list[str]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        def crate(name: str) -> dg.AssetsDefinition:
            @dg.asset(name=name, group_name="crates")
            def one() -> str:
                return name

            return one

        return dg.Definitions(assets=[crate(name) for name in self.names])
