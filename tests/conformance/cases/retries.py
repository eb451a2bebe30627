"""Retries that ops ask for and that policies grant."""

from conformance.case import Group, one

GROUP = Group(
    name="retries",
    module="retries",
    cases=(
        one("requested, then done", "requested"),
        one("requested because of an exception", "requested_with_cause"),
        one("requested to the end of patience", "requested_in_vain"),
        one("requested with a wait", "requested_with_wait"),
        one("by a policy", "by_policy"),
        one("by a policy, in vain", "by_policy_in_vain"),
        one("by a policy that waits longer each time", "by_policy_with_backoff"),
        one("by the job's policy", "by_job_policy"),
        one("by the policy of one use of the op", "by_policy_of_use"),
        one("a failure that allows none", "not_allowed"),
        one("a failure with metadata, retried", "failure_retried"),
        one(
            "turned off by the executor's config",
            "by_policy",
            config={"execution": {"config": {"retries": {"disabled": {}}}}},
        ),
        one("requested, but turned off", "requested", config={"execution": {"config": {"retries": {"disabled": {}}}}}),
        one("others go on while one waits", "beside_others"),
        one("outputs of the failed try are told", "after_output"),
        one("hooks of a step that is retried", "hooked"),
    ),
)
