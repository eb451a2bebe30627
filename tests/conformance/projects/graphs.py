"""Ops and graphs in every arrangement."""

import asyncio

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


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.op
def say(context: dg.OpExecutionContext, number: int) -> None:
    context.log.info(f"it is {number}")


@dg.job
def one_op():
    give()


@dg.graph(ins={"number": dg.GraphIn()}, out={"result": dg.GraphOut(), "raw": dg.GraphOut()})
def inner(number: int):
    return {"result": double(number), "raw": double.alias("again")(number)}


@dg.graph
def outer(number: int) -> int:
    result, raw = inner(double(number))
    return add(result, raw)


@dg.job
def nested():
    say(outer(give()))


@dg.job
def aliased():
    add(give.alias("first")(), double.alias("third").with_hooks(set())(give.alias("second")()))


@dg.job
def fan_in():
    total([give.alias("a")(), give.alias("b")(), double(give.alias("c")())])


@dg.op(out={"number": dg.Out(int), "word": dg.Out(str), "nothing": dg.Out(dg.Nothing)})
def three():
    yield dg.Output(1, "number")
    yield dg.Output("one", "word", metadata={"letters": 3})
    yield dg.Output(None, "nothing")


@dg.op(out={"left": dg.Out(), "right": dg.Out()})
def pair():
    return 1, 2


@dg.op(ins={"start": dg.In(dg.Nothing)})
def after() -> int:
    return 5


@dg.job
def several_outputs():
    number, _, nothing = three()
    double(number)
    after(nothing)
    left, right = pair()
    add(left, right)


@dg.op(out={"even": dg.Out(is_required=False), "odd": dg.Out(is_required=False)})
def branch():
    yield dg.Output(2, "even")


@dg.job
def branching():
    even, odd = branch()
    double.alias("taken")(even)
    double.alias("behind")(double.alias("not_taken")(odd))


@dg.job
def branch_fan_in():
    even, odd = branch()
    total([double.alias("taken")(even), double.alias("not_taken")(odd)])
    add(even, odd)


@dg.op(ins={"start": dg.In(dg.Nothing)})
def later() -> None: ...


@dg.job
def nothing_dependencies():
    later.alias("third")(start=[later.alias("second")(start=give()), give.alias("other")()])


@dg.op(ins={"number": dg.In(int, default_value=7), "word": dg.In(str, default_value="x")})
def defaulted(context, number, word):
    context.log.info(f"{number} {word}")


@dg.job
def default_inputs():
    defaulted()


@dg.job
def input_from_config():
    double()


@dg.op
def fails() -> int:
    raise ValueError("no")


@dg.job
def half_failing():
    double.alias("behind_failure")(fails())
    double.alias("goes_on")(give())


@dg.op
async def waits(context: dg.OpExecutionContext) -> int:
    await asyncio.sleep(0)
    context.log.info("waited")
    return 3


@dg.job
def coroutine():
    double(waits())


@dg.op(out={"first": dg.Out(), "second": dg.Out()})
async def generates():
    yield dg.Output(1, "first")
    await asyncio.sleep(0)
    yield dg.Output(2, "second")


@dg.job
def async_generator():
    first, second = generates()
    add(first, second)


@dg.op(out={"first": dg.Out(), "second": dg.Out()})
def forgets():
    yield dg.Output(1, "first")


@dg.job
def missing_output():
    first, second = forgets()
    add(first, second)


@dg.op(out={"first": dg.Out()})
def invents():
    yield dg.Output(1, "first")
    yield dg.Output(2, "other")


@dg.job
def undeclared_output():
    invents()


@dg.op
def repeats():
    yield dg.Output(1)
    yield dg.Output(2)


@dg.job
def output_twice():
    repeats()


@dg.op(out={"first": dg.Out(), "second": dg.Out(is_required=False)})
def half():
    yield dg.Output(1, "first")
    raise RuntimeError("after the first")


@dg.job
def output_then_failure():
    first, _ = half()
    double(first)


@dg.op
def tells(context: dg.OpExecutionContext):
    context.add_output_metadata({"added": 1, "word": "x"})
    return dg.Output(1, metadata={"own": 2.5, "link": dg.MetadataValue.url("https://example.com")})


@dg.op(out=dg.Out(metadata={"static": "of the definition"}))
def tells_statically():
    return 1


@dg.job
def output_metadata():
    tells()
    tells_statically()


@dg.op
def expects():
    yield dg.ExpectationResult(success=True, label="small", description="is it?", metadata={"limit": 3})
    yield dg.ExpectationResult(success=False, label="large")
    yield dg.Output(1)


@dg.job
def expectations():
    expects()


@dg.op
def logs_events(context: dg.OpExecutionContext):
    context.log_event(dg.AssetMaterialization("made", description="by hand", metadata={"rows": 3}, tags={"a": "b"}))
    context.log_event(dg.AssetObservation(["seen", "there"], metadata={"rows": 4}))
    yield dg.AssetMaterialization("yielded", partition="p")
    yield dg.Output(1)


@dg.job
def logged_events():
    logs_events()


@dg.op(config_schema={"by": int})
def multiply(context):
    return context.op_config["by"]


def _to_ops(value):
    if value["by"] < 0:
        raise ValueError("negative")
    return {"multiply": {"config": {"by": value["by"] * 2}}}


@dg.graph(config=dg.ConfigMapping(config_fn=_to_ops, config_schema={"by": int}))
def configured_graph():
    return multiply()


@dg.job
def mapped_config():
    say(configured_graph())


@dg.graph
def a_graph():
    say(multiply())


from_graph = a_graph.to_job(
    name="from_graph", config={"ops": {"multiply": {"config": {"by": 5}}}}, tags={"team": "core"}
)


@dg.job
def empty():
    pass


defs = dg.Definitions(
    jobs=[
        one_op,
        nested,
        aliased,
        fan_in,
        several_outputs,
        branching,
        branch_fan_in,
        nothing_dependencies,
        default_inputs,
        input_from_config,
        half_failing,
        coroutine,
        async_generator,
        missing_output,
        undeclared_output,
        output_twice,
        output_then_failure,
        output_metadata,
        expectations,
        logged_events,
        mapped_config,
        from_graph,
        empty,
    ],
    executor=dg.in_process_executor,
)
