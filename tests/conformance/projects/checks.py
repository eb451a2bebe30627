"""Assets and their checks."""

import dagster as dg

Severity = dg.AssetCheckSeverity


@dg.asset
def orders():
    return 5


@dg.asset_check(asset=orders)
def is_there(orders):
    return dg.AssetCheckResult(passed=True, metadata={"rows": orders, "note": dg.MetadataValue.md("*fine*")})


@dg.asset_check(asset=orders, description="Not too many.")
def is_small(orders):
    return dg.AssetCheckResult(passed=orders < 3, severity=Severity.WARN, description=f"{orders} are many")


@dg.asset_check(asset=orders)
def is_even(orders):
    return dg.AssetCheckResult(passed=False, severity=Severity.ERROR)


def guarded_asset(name, result, *, blocking):
    """Make an asset, a check of it, and an asset behind it."""

    @dg.asset(name=name)
    def _asset():
        return 1

    @dg.asset_check(asset=_asset, name="guard", blocking=blocking)
    def _check():
        if isinstance(result, Exception):
            raise result
        return result

    @dg.asset(name=f"behind_{name}", deps=[_asset])
    def _behind():
        return 2

    return [_asset, _behind], _check


GUARDED = [
    guarded_asset("guarded", dg.AssetCheckResult(passed=False, metadata={"n": 1}), blocking=True),
    guarded_asset("guarded_well", dg.AssetCheckResult(passed=True), blocking=True),
    guarded_asset("guarded_mildly", dg.AssetCheckResult(passed=False, severity=Severity.WARN), blocking=True),
    guarded_asset("checked_badly", ValueError("cannot check"), blocking=False),
    guarded_asset("blocked_badly", ValueError("cannot check"), blocking=True),
]


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec("good", asset="self_checking"),
        dg.AssetCheckSpec("bad", asset="self_checking", description="is bad"),
    ]
)
def self_checking():
    yield dg.Output(1)
    yield dg.AssetCheckResult(check_name="good", passed=True)
    yield dg.AssetCheckResult(check_name="bad", passed=False, metadata={"why": "bad"})


@dg.asset(check_specs=[dg.AssetCheckSpec("own", asset="result_checking", blocking=True)])
def result_checking():
    return dg.MaterializeResult(
        metadata={"rows": 1},
        check_results=[dg.AssetCheckResult(check_name="own", passed=False, severity=Severity.WARN)],
    )


@dg.asset(check_specs=[dg.AssetCheckSpec("promised", asset="forgetful")])
def forgetful():
    yield dg.Output(1)


@dg.asset
def many_checks():
    return 1


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec("first", asset="many_checks"), dg.AssetCheckSpec("second", asset="many_checks")],
    can_subset=True,
)
def several(context: dg.AssetCheckExecutionContext):
    for key in sorted(context.selected_asset_check_keys):
        yield dg.AssetCheckResult(asset_key=key.asset_key, check_name=key.name, passed=key.name == "first")


class Limit(dg.ConfigurableResource):
    value: int


@dg.asset
def described():
    return 1


@dg.asset_check(asset=described)
def is_described(context: dg.AssetCheckExecutionContext, limit: Limit):
    context.log.info(f"limit {limit.value}")
    return dg.AssetCheckResult(passed=True, description="well")


@dg.asset
def compared():
    return 6


@dg.asset_check(asset=compared, additional_ins={"orders": dg.AssetIn()})
def is_more(compared, orders):
    return dg.AssetCheckResult(passed=compared > orders, metadata={"difference": compared - orders})


external = dg.AssetSpec("external")


@dg.asset_check(asset="external")
def is_fresh():
    return dg.AssetCheckResult(passed=True)


@dg.asset
def retried_check():
    return 1


@dg.asset_check(asset=retried_check, retry_policy=dg.RetryPolicy(max_retries=1))
def at_second_try(context: dg.AssetCheckExecutionContext):
    if context.op_execution_context.retry_number == 0:
        raise ValueError("at first")
    return dg.AssetCheckResult(passed=True)


@dg.multi_asset(
    specs=[dg.AssetSpec("part_a", skippable=True), dg.AssetSpec("part_b", skippable=True)],
    check_specs=[dg.AssetCheckSpec("ok_a", asset="part_a"), dg.AssetCheckSpec("ok_b", asset="part_b")],
    can_subset=True,
)
def parts(context: dg.AssetExecutionContext):
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=key)
    for check in sorted(context.selected_asset_check_keys):
        yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)


defs = dg.Definitions(
    assets=[
        orders,
        self_checking,
        result_checking,
        forgetful,
        many_checks,
        described,
        compared,
        external,
        retried_check,
        parts,
        *(asset for pair, _ in GUARDED for asset in pair),
    ],
    asset_checks=[
        is_there,
        is_small,
        is_even,
        several,
        is_described,
        is_more,
        is_fresh,
        at_second_try,
        *(check for _, check in GUARDED),
    ],
    jobs=[dg.define_asset_job("job_of_checks", dg.AssetSelection.checks_for_assets(orders))],
    resources={"limit": Limit(value=3)},
    executor=dg.in_process_executor,
)
