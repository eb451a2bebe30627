"""Tags of runs and ops, and pools."""

from conformance.case import Group, one

GROUP = Group(
    name="tags and pools",
    module="tags_and_pools",
    cases=(
        one("a job's tags", "tagged"),
        one("tags at launch, over the job's", "tagged", tags={"team": "other", "own": "x", "text": '{"a": "json"}'}),
        one("tags of runs and tags of a job", "tagged_apart"),
        one("tags of an op", "tagged_ops"),
        one("a priority among ops", "prioritized"),
        one("a pool", "pooled"),
        one("a pool of assets", "__ASSET_JOB", assets=("pooled_asset", "another_pooled")),
        one("a concurrency key", "keyed"),
        one("the run's own identity", "identity"),
        one("a compute kind", "kinds"),
    ),
)
