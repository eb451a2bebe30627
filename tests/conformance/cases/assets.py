"""Assets: how they are made, what they tell, and what follows from what."""

from conformance.case import Group, Launch, one, several

JOB = "__ASSET_JOB"

GROUP = Group(
    name="assets",
    module="assets",
    cases=(
        one("a chain of assets", "chain"),
        one("the same again: data versions follow", "chain"),
        one("one out of a chain that was made before", JOB, assets=("chained/last",)),
        one("metadata of every type", JOB, assets=("telling",)),
        one("a MaterializeResult", JOB, assets=("with_result",)),
        one("a MaterializeResult with a value", JOB, assets=("with_value", "reads_value"), since="1.11"),
        one("several MaterializeResults", JOB, assets=("result_a", "result_b")),
        one("a multi-asset with optional outputs", JOB, assets=("always", "sometimes", "behind_sometimes")),
        one("a multi-asset with dependencies inside", JOB, assets=("inner_a", "inner_b")),
        one("an asset made of a graph", JOB, assets=("of_graph",)),
        one("assets made of a graph", JOB, assets=("left_of_graph", "right_of_graph")),
        one("an asset that depends on what others make", JOB, assets=("on_external",)),
        one("code versions and data versions of one's own", JOB, assets=("versioned", "on_versioned")),
        one(
            "an asset that fails, and what stands behind it", JOB, assets=("failing", "behind_failing", "chained/first")
        ),
        one("an asset that raises a Failure", JOB, assets=("failing_softly",)),
        one("an asset that is retried", JOB, assets=("retried",)),
        one("an observable source", JOB, assets=("watched",)),
        one("an observable source that returns an ObserveResult", JOB, assets=("watched_closely",)),
        one("several observable sources", JOB, assets=("seen_a", "seen_b")),
        one("observations that an asset logs", JOB, assets=("logs_observation",)),
        one("an asset without a value", JOB, assets=("without_value", "after_without_value")),
        one("an asset of its own output", JOB, assets=("with_output",)),
        one("asset tags, owners, kinds, groups", JOB, assets=("decorated",)),
        one("what an asset's context tells", JOB, assets=("asks_context",)),
        one("a job of assets and its config", "job_with_config"),
        one("a job of assets with hooks and tags", "job_with_hooks"),
        one("assets by tag", "job_by_tag"),
        one("assets that are nobody's", JOB, assets=("nobody",)),
        several(
            "made, then used by another run",
            Launch(job=JOB, assets=("with_output",)),
            Launch(job=JOB, assets=("on_output",)),
        ),
        one("a value that nobody made", JOB, assets=("on_never",)),
        one("table schema, lineage and row counts", JOB, assets=("table",)),
        one("code references", JOB, assets=("referenced",)),
    ),
)
