"""Partitioned assets and jobs."""

import dagster as dg

LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c", "with space", "ü"])
DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-06-01")
FEW = dg.StaticPartitionsDefinition(["x", "y"])
SHORT = dg.DailyPartitionsDefinition("2024-01-07", end_date="2024-01-10")
GRID = dg.MultiPartitionsDefinition({"letter": LETTERS, "day": DAILY})
NUMBERS = dg.StaticPartitionsDefinition(["1", "2"])
SMALL_GRID = dg.MultiPartitionsDefinition({"few": FEW, "number": NUMBERS})


def say(context):
    context.log.info(f"{context.partition_key} of {context.run.tags.get('dagster/partition')}")


@dg.asset(partitions_def=LETTERS)
def letters(context: dg.AssetExecutionContext):
    say(context)
    return context.partition_key


@dg.asset(partitions_def=LETTERS)
def same_letters(context: dg.AssetExecutionContext, letters):
    context.log.info(f"got {letters}")
    return letters * 2


@dg.asset(partitions_def=LETTERS)
def keyed(context: dg.AssetExecutionContext):
    return {"key": context.partition_key}


@dg.asset(partitions_def=DAILY)
def daily(context: dg.AssetExecutionContext):
    say(context)
    context.log.info(f"{context.partition_time_window}")
    return context.partition_key


@dg.asset(partitions_def=dg.HourlyPartitionsDefinition("2024-01-01-00:00", end_date="2024-02-01-00:00"))
def hourly(context: dg.AssetExecutionContext):
    context.log.info(f"{context.partition_time_window}")


@dg.asset(partitions_def=dg.WeeklyPartitionsDefinition("2024-01-01", end_date="2024-06-01"))
def weekly(context: dg.AssetExecutionContext):
    context.log.info(f"{context.partition_time_window}")


@dg.asset(partitions_def=dg.MonthlyPartitionsDefinition("2024-01-01", end_date="2024-06-01"))
def monthly(context: dg.AssetExecutionContext):
    context.log.info(f"{context.partition_time_window}")


@dg.asset(
    partitions_def=dg.TimeWindowPartitionsDefinition(
        start="2024-01-01-00:00",
        end="2024-06-01-00:00",
        cron_schedule="30 6 * * 1",
        timezone="Europe/Berlin",
        fmt="%Y-%m-%d-%H:%M",
    )
)
def by_cron(context: dg.AssetExecutionContext):
    context.log.info(f"{context.partition_time_window}")


@dg.asset(partitions_def=GRID)
def grid(context: dg.AssetExecutionContext):
    key = context.partition_key
    context.log.info(f"{key} {key.keys_by_dimension}")
    context.log.info(f"{sorted((name, value) for name, value in context.run.tags.items() if 'partition' in name)}")


@dg.asset(partitions_def=FEW)
def few(context: dg.AssetExecutionContext):
    return context.partition_key


@dg.asset
def of_all_few(context: dg.AssetExecutionContext, few):
    context.log.info(f"{sorted(few.items())}")


@dg.asset(
    partitions_def=DAILY,
    ins={"daily": dg.AssetIn(partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))},
)
def day_after(context: dg.AssetExecutionContext, daily):
    context.log.info(f"the day before: {daily}")


@dg.asset(partitions_def=SHORT)
def short(context: dg.AssetExecutionContext):
    return context.partition_key


@dg.asset(partitions_def=dg.WeeklyPartitionsDefinition("2024-01-07", end_date="2024-01-14"))
def of_short(context: dg.AssetExecutionContext, short):
    context.log.info(f"{sorted(short.items())}")
    context.log.info(f"{context.asset_partition_keys_for_input('short')}")


@dg.asset(ins={"few": dg.AssetIn(partition_mapping=dg.LastPartitionMapping())})
def of_last(context: dg.AssetExecutionContext, few):
    context.log.info(f"{few}")


@dg.asset(
    partitions_def=NUMBERS,
    ins={"few": dg.AssetIn(partition_mapping=dg.StaticPartitionMapping({"x": "1", "y": "2"}))},
)
def renamed(context: dg.AssetExecutionContext, few):
    context.log.info(f"{few}")


@dg.asset(partitions_def=SMALL_GRID)
def small_grid(context: dg.AssetExecutionContext):
    return str(context.partition_key)


@dg.asset(
    partitions_def=FEW, ins={"small_grid": dg.AssetIn(partition_mapping=dg.MultiToSingleDimensionPartitionMapping())}
)
def of_dimension(context: dg.AssetExecutionContext, small_grid):
    context.log.info(f"{sorted(map(str, small_grid))}")


@dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
def ranged(context: dg.AssetExecutionContext):
    context.log.info(f"{context.partition_keys} {context.partition_key_range} {context.has_partition_key_range}")
    return {key: len(key) for key in context.partition_keys}


@dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run(), deps=[ranged])
def on_ranged(context: dg.AssetExecutionContext):
    context.log.info(f"{context.partition_time_window}")
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.single_run())
def ranged_letters(context: dg.AssetExecutionContext) -> None:
    context.log.info(f"{context.partition_keys}")


@dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.single_run())
def yields_each(context: dg.AssetExecutionContext) -> None:
    for key in context.partition_keys:
        context.log_event(dg.AssetMaterialization("yields_each", partition=key, metadata={"key": key}))


@dg.op(config_schema={"key": str})
def takes(context):
    context.log.info(f"{context.op_config['key']} {context.has_partition_key} {context.run.tags.get('of_partition')}")


@dg.static_partitioned_config(["a", "b"], tags_for_partition_key_fn=lambda key: {"of_partition": key * 2})
def static_config(key):
    return {"ops": {"takes": {"config": {"key": key}}}}


@dg.job(config=static_config)
def by_static_config():
    takes()


@dg.daily_partitioned_config(start_date="2024-01-01")
def daily_config(start, end):
    return {"ops": {"takes": {"config": {"key": f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"}}}}


@dg.job(config=daily_config)
def by_daily_config():
    takes()


@dg.op
def says_key(context: dg.OpExecutionContext):
    context.log.info(f"{context.partition_key}")


@dg.job(partitions_def=LETTERS)
def hard_coded():
    says_key()


@dg.static_partitioned_config(["a"])
def raising_config(key):
    raise ValueError(f"no config for {key}")


@dg.job(config=raising_config)
def by_raising_config():
    takes()


@dg.op
def shout(word: str) -> str:
    return word.upper()


@dg.op
def gives_key(context: dg.OpExecutionContext) -> str:
    return context.partition_key


@dg.graph_asset(partitions_def=LETTERS)
def of_graph():
    return shout(gives_key())


@dg.multi_asset(outs={"left": dg.AssetOut(), "right": dg.AssetOut()}, partitions_def=LETTERS)
def two(context: dg.AssetExecutionContext):
    yield dg.Output(context.partition_key, "left", metadata={"key": context.partition_key})
    yield dg.Output(2, "right")


@dg.asset(partitions_def=LETTERS)
def logs_others(context: dg.AssetExecutionContext):
    context.log_event(dg.AssetMaterialization("other", partition="q"))
    context.log_event(dg.AssetObservation("letters", partition="b"))


@dg.asset(partitions_def=LETTERS)
def checked():
    return 1


@dg.asset_check(asset=checked)
def is_fine(context: dg.AssetCheckExecutionContext):
    return dg.AssetCheckResult(passed=True)


@dg.asset(partitions_def=LETTERS)
def failing():
    raise ValueError("no rows")


@dg.asset(partitions_def=LETTERS, deps=[failing])
def behind_failing(): ...


@dg.observable_source_asset(partitions_def=LETTERS)
def watched():
    return dg.DataVersionsByPartition({"a": "1", "b": "2"})


@dg.asset(partitions_def=dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-06-01", timezone="Europe/Berlin"))
def tells_window(context: dg.AssetExecutionContext):
    window = context.partition_time_window
    context.log.info(f"{window.start} {window.end}")
    return 1


defs = dg.Definitions(
    assets=[
        letters,
        same_letters,
        keyed,
        daily,
        hourly,
        weekly,
        monthly,
        by_cron,
        grid,
        few,
        of_all_few,
        day_after,
        short,
        of_short,
        of_last,
        renamed,
        small_grid,
        of_dimension,
        ranged,
        on_ranged,
        ranged_letters,
        yields_each,
        of_graph,
        two,
        logs_others,
        checked,
        failing,
        behind_failing,
        watched,
        tells_window,
    ],
    asset_checks=[is_fine],
    jobs=[
        dg.define_asset_job("keyed_job", [keyed]),
        dg.define_asset_job("daily_job", [daily]),
        by_static_config,
        by_daily_config,
        hard_coded,
        by_raising_config,
    ],
    executor=dg.in_process_executor,
)
