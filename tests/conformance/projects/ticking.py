"""Schedules of every kind. What they want follows from the time that they are told alone."""

# a user's project, not the product

import dagster as dg

days = dg.DailyPartitionsDefinition("2024-01-01", timezone="Europe/Berlin")
hours = dg.HourlyPartitionsDefinition("2024-01-01-00:00", timezone="America/New_York")
weeks = dg.WeeklyPartitionsDefinition("2024-01-01")
colours = dg.StaticPartitionsDefinition(["red", "green"])
both = dg.MultiPartitionsDefinition({"day": dg.DailyPartitionsDefinition("2024-01-01"), "colour": colours})
regions = dg.DynamicPartitionsDefinition(name="ticking_regions")


class Greeting(dg.Config):
    name: str = "nobody"


@dg.op
def greet(config: Greeting) -> None: ...


@dg.job(tags={"team": "core", "tier": "1"})
def greeting() -> None:
    greet()


@dg.op
def work() -> None: ...


@dg.job
def plain() -> None:
    work()


@dg.job(partitions_def=colours)
def coloured() -> None:
    work()


@dg.job(partitions_def=dg.DailyPartitionsDefinition("2024-01-01"), config={"ops": {"greet": {"config": {"name": "x"}}}})
def each_day() -> None:
    greet()


@dg.asset(partitions_def=days, tags={"kind": "daily"})
def daily() -> None: ...


@dg.asset(partitions_def=hours)
def hourly() -> None: ...


@dg.asset(partitions_def=weeks)
def weekly() -> None: ...


@dg.asset(partitions_def=both)
def coloured_days() -> None: ...


@dg.asset(partitions_def=regions)
def regional() -> None: ...


@dg.asset
def first() -> None: ...


@dg.asset(deps=[first])
def second() -> None: ...


@dg.asset_check(asset=first)
def is_filled() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


daily_job = dg.define_asset_job("daily_job", [daily], partitions_def=days, tags={"team": "days"})
hourly_job = dg.define_asset_job("hourly_job", [hourly], partitions_def=hours)
weekly_job = dg.define_asset_job("weekly_job", [weekly], partitions_def=weeks)
coloured_job = dg.define_asset_job("coloured_job", [coloured_days], partitions_def=both)
regional_job = dg.define_asset_job("regional_job", [regional], partitions_def=regions)
chain = dg.define_asset_job("chain", [first, second])

constant = dg.ScheduleDefinition(
    name="constant",
    cron_schedule="30 */5 * * *",
    job=greeting,
    run_config={"ops": {"greet": {"config": {"name": "all"}}}},
    tags={"tier": "2"},
)
of_assets = dg.ScheduleDefinition(
    name="of_assets", cron_schedule="0 3,9 * * *", target=[first, second], execution_timezone="Asia/Kolkata"
)
night_owl = dg.ScheduleDefinition(
    name="night_owl", cron_schedule="30 2 * * *", job=plain, execution_timezone="Europe/Berlin"
)
half_hours = dg.ScheduleDefinition(
    name="half_hours", cron_schedule=["30 1-3 * * *", "0 2 * * *"], job=plain, execution_timezone="Europe/Berlin"
)
partitioned = dg.build_schedule_from_partitioned_job(daily_job, hour_of_day=2, minute_of_hour=30)
by_hour = dg.build_schedule_from_partitioned_job(hourly_job, minute_of_hour=20)
by_week = dg.build_schedule_from_partitioned_job(weekly_job, day_of_week=0)
by_colour = dg.build_schedule_from_partitioned_job(coloured_job)
of_a_job = dg.build_schedule_from_partitioned_job(each_day)


@dg.schedule(cron_schedule="15 */4 * * *", job=greeting, execution_timezone="America/New_York")
def told_the_time(context: dg.ScheduleEvaluationContext):
    at = context.scheduled_execution_time
    context.log.info("it is %s", at.strftime("%H:%M"))
    if at.hour == 4:
        return dg.SkipReason(f"too early on {at:%A}")
    if at.hour == 8:
        raise ValueError(f"no breakfast on {at:%A}")
    if at.hour == 12:
        return []
    return dg.RunRequest(
        run_config={"ops": {"greet": {"config": {"name": at.isoformat()}}}}, tags={"day": f"{at:%Y-%m-%d}", "tier": "3"}
    )


@dg.schedule(cron_schedule="45 6,18 * * *", job=coloured)
def each_colour(context: dg.ScheduleEvaluationContext):
    for colour in colours.get_partition_keys():
        yield dg.RunRequest(run_key=f"{colour} {context.scheduled_execution_time:%H}", partition_key=colour)


@dg.schedule(cron_schedule="50 7 * * *", job=chain)
def selecting():
    yield dg.RunRequest(run_key="one", asset_selection=[dg.AssetKey("first")])
    yield dg.RunRequest(run_key="all")
    if dg.__version__.startswith("1.10."):
        # Its scheduler forgets which checks were asked for, and executes all.
        return
    yield dg.RunRequest(
        run_key="checks", asset_selection=[], asset_check_keys=[dg.AssetCheckKey(dg.AssetKey("first"), "is_filled")]
    )


@dg.schedule(cron_schedule="55 7 * * *", job=regional_job)
def opening(context: dg.ScheduleEvaluationContext):
    key = f"{context.scheduled_execution_time:%d}"
    context.instance.add_dynamic_partitions("ticking_regions", [key])
    return dg.RunRequest(
        partition_key=key, tags={"known": ",".join(context.instance.get_dynamic_partitions("ticking_regions"))}
    )


@dg.schedule(cron_schedule="5 7 * * *", job=plain)
def same_keys():
    return [dg.RunRequest(run_key="k"), dg.RunRequest(run_key="k")]


@dg.schedule(cron_schedule="6 7 * * *", job=coloured)
def no_such_partition():
    return dg.RunRequest(partition_key="blue")


@dg.schedule(
    cron_schedule="7 7 * * *", job=plain, should_execute=lambda context: context.scheduled_execution_time.day % 2 == 0
)
def every_other_day():
    return {}


defs = dg.Definitions(
    assets=[daily, hourly, weekly, coloured_days, regional, first, second],
    asset_checks=[is_filled],
    jobs=[greeting, plain, coloured, each_day, daily_job, hourly_job, weekly_job, coloured_job, regional_job, chain],
    schedules=[
        constant,
        of_assets,
        night_owl,
        half_hours,
        partitioned,
        by_hour,
        by_week,
        by_colour,
        of_a_job,
        told_the_time,
        each_colour,
        selecting,
        opening,
        same_keys,
        no_such_partition,
        every_other_day,
    ],
)
