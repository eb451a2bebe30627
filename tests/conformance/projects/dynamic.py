"""Dynamic outputs in every arrangement."""

import dagster as dg


@dg.op(out=dg.DynamicOut(int))
def split():
    for number in range(3):
        yield dg.DynamicOutput(number, mapping_key=f"part_{number}", metadata={"number": number})


@dg.op(out=dg.DynamicOut(int, is_required=False))
def split_nothing():
    yield from ()


@dg.op
def add_one(number: int) -> int:
    return number + 1


@dg.op
def total(context: dg.OpExecutionContext, numbers: list[int]) -> int:
    context.log.info(f"{sorted(numbers)}")
    return sum(numbers)


@dg.op
def two_totals(numbers: list[int], others: list[int]) -> int:
    return sum(numbers) + sum(others)


@dg.op
def fails_on_one(number: int) -> int:
    if number == 1:
        raise ValueError("not one")
    return number


@dg.op
def retries_on_one(context: dg.OpExecutionContext, number: int) -> int:
    if number == 1 and context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1)
    return number


@dg.op(out=dg.Out(int, is_required=False))
def skips_on_one(number: int):
    if number != 1:
        yield dg.Output(number)


@dg.job
def mapped():
    total(split().map(add_one).collect())


@dg.job
def mapped_twice():
    total(split().map(add_one).map(add_one.alias("add_another")).collect())


@dg.graph
def add_two(number: int) -> int:
    return add_one.alias("second")(add_one.alias("first")(number))


@dg.job
def mapped_graph():
    total(split().map(add_two).collect())


@dg.job
def collected_twice():
    mapped_parts = split().map(add_one)
    total(mapped_parts.collect())
    two_totals(mapped_parts.collect(), split.alias("split_again")().map(add_one.alias("add_again")).collect())


@dg.job
def nothing_to_map():
    total(split_nothing().map(add_one).collect())


@dg.job
def one_fails():
    total(split().map(lambda number: add_one(fails_on_one(number))).collect())


@dg.job
def one_is_retried():
    total(split().map(retries_on_one).collect())


@dg.op(out=dg.DynamicOut(int))
def repeats_key():
    yield dg.DynamicOutput(1, mapping_key="same")
    yield dg.DynamicOutput(2, mapping_key="same")


@dg.job
def same_key_twice():
    repeats_key().map(add_one)


@dg.op(out=dg.DynamicOut(int))
def uses_bad_key():
    yield dg.DynamicOutput(1, mapping_key="not allowed!")


@dg.job
def bad_key():
    uses_bad_key().map(add_one)


@dg.job
def some_skip():
    total(split().map(skips_on_one).map(add_one).collect())


@dg.op(out={"parts": dg.DynamicOut(int), "count": dg.Out(int)})
def splits_and_counts():
    for number in range(2):
        yield dg.DynamicOutput(number, output_name="parts", mapping_key=str(number))
    yield dg.Output(2, "count")


@dg.job
def mixed_outputs():
    parts, count = splits_and_counts()
    total(parts.map(add_one).collect())
    add_one.alias("of_count")(count)


@dg.op(out=dg.DynamicOut(int))
def breaks_off():
    yield dg.DynamicOutput(1, mapping_key="first")
    raise ValueError("no second")


@dg.job
def fails_half_way():
    total(breaks_off().map(add_one).collect())


@dg.op(ins={"start": dg.In(dg.Nothing)})
def at_the_end() -> None: ...


@dg.job
def mapped_without_data():
    at_the_end(split().map(add_one).collect())


defs = dg.Definitions(
    jobs=[
        mapped,
        mapped_twice,
        mapped_graph,
        collected_twice,
        nothing_to_map,
        one_fails,
        one_is_retried,
        same_key_twice,
        bad_key,
        some_skip,
        mixed_outputs,
        fails_half_way,
        mapped_without_data,
    ],
    executor=dg.in_process_executor,
)
