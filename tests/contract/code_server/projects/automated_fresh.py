"""Assets with policies of freshness, and conditions that look at it."""

# a user's project, not the product

from datetime import timedelta

import dagster as dg
from dagster import AutomationCondition

policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=2), warn_window=timedelta(hours=1))


@dg.asset(freshness_policy=policy, automation_condition=AutomationCondition.freshness_failed())
def late(): ...


@dg.asset(freshness_policy=policy, automation_condition=AutomationCondition.freshness_warned())
def nearly_late(): ...


@dg.asset(freshness_policy=policy, automation_condition=AutomationCondition.freshness_passed())
def early(): ...


@dg.asset(automation_condition=AutomationCondition.freshness_failed())
def without_policy(): ...


@dg.asset(deps=[late], automation_condition=AutomationCondition.any_deps_match(AutomationCondition.freshness_failed()))
def below(): ...


assets = [late, nearly_late, early, without_policy, below]
automatic = dg.AutomationConditionSensorDefinition("automatic", target="*", emit_backfills=False)
defs = dg.Definitions(assets=assets, sensors=[automatic])
