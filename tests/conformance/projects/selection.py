"""A job and assets to be executed in part."""

import dagster as dg


@dg.op
def give() -> int:
    return 1


@dg.op
def double(number: int) -> int:
    return number * 2


@dg.op
def add(left: int, right: int) -> int:
    return left + right


@dg.graph
def inner(number: int) -> int:
    return double.alias("second")(double.alias("one")(number))


@dg.op(ins={"number": dg.In(int)})
def needy(number):
    return number


@dg.job
def whole():
    first = give.alias("first")()
    left = double.alias("left")(first)
    right = double.alias("right")(first)
    total = add.alias("total")(left, right)
    inner(total)
    needy(total)


@dg.op(config_schema={"n": int}, ins={"start": dg.In(dg.Nothing)})
def with_config(context):
    context.log.info(f"{context.op_config['n']}")


@dg.job
def configured():
    with_config.alias("second")(start=with_config.alias("first")())


@dg.op(out=dg.DynamicOut(int))
def split():
    yield dg.DynamicOutput(1, "a")
    yield dg.DynamicOutput(2, "b")


@dg.op
def use(number: int) -> int:
    return number


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.job
def dynamic():
    total(split().map(use).collect())


@dg.asset
def a():
    return 1


@dg.asset
def b(a):
    return a + 1


@dg.asset(deps=[b])
def c():
    return 3


@dg.multi_asset(outs={name: dg.AssetOut(is_required=False) for name in ("part_x", "part_y", "part_z")}, can_subset=True)
def parts(context: dg.AssetExecutionContext):
    for name in ("part_x", "part_y", "part_z"):
        if name in context.op_execution_context.selected_output_names:
            yield dg.Output(name, name)


@dg.multi_asset(outs={"whole_x": dg.AssetOut(), "whole_y": dg.AssetOut()})
def undivided():
    return 1, 2


@dg.graph_multi_asset(
    outs={"graph_x": dg.AssetOut(is_required=False), "graph_y": dg.AssetOut(is_required=False)}, can_subset=True
)
def of_graph():
    return {"graph_x": double.alias("of_x")(give.alias("gives_x")()), "graph_y": give.alias("gives_y")()}


@dg.multi_asset(
    specs=[
        dg.AssetSpec("cut_1", skippable=True),
        dg.AssetSpec("cut_2", deps=["between"], skippable=True),
        dg.AssetSpec("cut_3", deps=["cut_2"], skippable=True),
    ],
    can_subset=True,
)
def cut(context: dg.AssetExecutionContext):
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=key)


@dg.asset(deps=["cut_1"])
def between():
    return 1


defs = dg.Definitions(
    assets=[a, b, c, parts, undivided, of_graph, cut, between],
    jobs=[whole, configured, dynamic, dg.define_asset_job("some", [a, b])],
    executor=dg.in_process_executor,
)
