"""Assets of every shape that the adapter has to tell of."""

# a user's project, not the product

import dagster as dg

LETTERS = dg.StaticPartitionsDefinition(["a", "b"])
DAYS = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-02-01")
BOTH = dg.MultiPartitionsDefinition({"day": DAYS, "letter": LETTERS})
CUSTOMERS = dg.DynamicPartitionsDefinition(name="customers")


@dg.asset(
    group_name="raw",
    kinds={"python", "csv"},
    owners=["team:data"],
    tags={"tier": "one"},
    code_version="7",
    description="What comes in.",
    metadata={"rows": 3, "docs": dg.MetadataValue.url("https://example.com")},
)
def source() -> list[int]:
    return [1, 2, 3]


@dg.asset
def summed(context: dg.AssetExecutionContext, source: list[int]) -> dg.Output[int]:
    context.add_output_metadata({"sum": sum(source), "big": 2**70, "nothing": None})
    return dg.Output(sum(source), data_version=dg.DataVersion(str(sum(source))))


@dg.asset_check(asset=summed, blocking=True, description="More than none.")
def is_positive(summed: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=summed > 0, metadata={"value": summed})


@dg.asset_check(asset=summed)
def is_small() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="it is not")


@dg.asset(partitions_def=LETTERS)
def by_letter(context: dg.AssetExecutionContext) -> str:
    return context.partition_key


@dg.asset(partitions_def=LETTERS)
def after_letter(by_letter: str) -> str:
    return by_letter + by_letter


@dg.asset(partitions_def=DAYS)
def by_day(context: dg.AssetExecutionContext) -> str:
    return context.partition_key


@dg.asset(partitions_def=BOTH)
def by_both(context: dg.AssetExecutionContext) -> None:
    keys = context.partition_key.keys_by_dimension
    context.log.info(f"{keys['day']}/{keys['letter']}")


@dg.asset(partitions_def=CUSTOMERS)
def by_customer(context: dg.AssetExecutionContext) -> str:
    return context.partition_key


@dg.observable_source_asset
def watched() -> dg.DataVersion:
    return dg.DataVersion("v1")


@dg.op
def observes(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetObservation("elsewhere", metadata={"n": 1}, partition="p"))
    context.log_event(dg.AssetMaterialization("elsewhere", description="made", tags={"t": "u"}))


@dg.job
def observing() -> None:
    observes()


@dg.sensor(target=[by_customer])
def customers_arrive(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key="acme")],
        dynamic_partitions_requests=[CUSTOMERS.build_add_request(["acme"])],
    )


defs = dg.Definitions(
    executor=dg.in_process_executor,
    assets=[
        source,
        summed,
        by_letter,
        after_letter,
        by_day,
        by_both,
        by_customer,
        watched,
        dg.AssetSpec("foreign", description="Made elsewhere."),
    ],
    asset_checks=[is_positive, is_small],
    jobs=[
        dg.define_asset_job("numbers", [source, summed]),
        dg.define_asset_job("letters", [by_letter, after_letter]),
        dg.define_asset_job("days", [by_day]),
        dg.define_asset_job("both", [by_both]),
        dg.define_asset_job("customers", [by_customer]),
        observing,
    ],
    sensors=[customers_arrive],
)
