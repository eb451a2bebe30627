"""Asset checks: outcomes, severities, and what a blocking one stops."""

from conformance.case import Group, one

JOB = "__ASSET_JOB"

GROUP = Group(
    name="checks",
    module="checks",
    cases=(
        one("passed and failed, of both severities", JOB, assets=("orders",)),
        one("a blocking check that fails", JOB, assets=("guarded", "behind_guarded")),
        one("a blocking check that passes", JOB, assets=("guarded_well", "behind_guarded_well")),
        one("a blocking check that only warns", JOB, assets=("guarded_mildly", "behind_guarded_mildly")),
        one("a check that raises", JOB, assets=("checked_badly", "behind_checked_badly")),
        one("a blocking check that raises", JOB, assets=("blocked_badly", "behind_blocked_badly")),
        one("checks that an asset yields itself", JOB, assets=("self_checking",)),
        one("checks in a MaterializeResult", JOB, assets=("result_checking",)),
        one("a check that an asset promised and forgot", JOB, assets=("forgetful",)),
        one("one step of several checks", JOB, assets=("many_checks",)),
        one("checks alone", JOB, checks=(("orders", "is_small"), ("orders", "is_there"))),
        one("one check of a step of several", JOB, checks=(("many_checks", "second"),)),
        one("an asset and one of its checks", JOB, assets=("orders",), checks=(("orders", "is_small"),)),
        one("a check that nobody knows", JOB, checks=(("orders", "no_such"),)),
        one("a check with a resource and a log", JOB, assets=("described",)),
        one("a check that needs another asset", JOB, assets=("orders", "compared")),
        one("a check on what others make", JOB, checks=(("external", "is_fresh"),)),
        one("a check that is retried", JOB, assets=("retried_check",)),
        one("a multi-asset, its checks, a part selected", JOB, assets=("part_a",)),
        one("a multi-asset of several checks each, only checks selected", JOB, checks=(("part_a", "ok_a"),)),
        one("a check of a job", "job_of_checks"),
    ),
)
