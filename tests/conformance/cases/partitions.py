"""Partitions of every kind, and what maps one to another."""

from conformance.case import Group, Launch, one, several

JOB = "__ASSET_JOB"
_START, _END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def span(start: str, end: str) -> dict[str, str]:
    """Return the tags of a run over a range of partitions."""
    return {_START: start, _END: end}


GROUP = Group(
    name="partitions",
    module="partitions",
    cases=(
        one("static", JOB, assets=("letters",), partition="a"),
        one("static, a key that is none", JOB, assets=("letters",), partition="z"),
        one("static, of a job", "keyed_job", partition="b"),
        one("static, a key with a space", JOB, assets=("letters",), partition="with space"),
        one("static, a key beyond ASCII", JOB, assets=("letters",), partition="ü"),
        one("daily", JOB, assets=("daily",), partition="2024-01-03"),
        one("daily, before the first day", JOB, assets=("daily",), partition="2023-12-31"),
        one("hourly", JOB, assets=("hourly",), partition="2024-01-03-05:00"),
        one("weekly", JOB, assets=("weekly",), partition="2024-01-07"),
        one("monthly", JOB, assets=("monthly",), partition="2024-02-01"),
        one("by a cron schedule in a time zone", JOB, assets=("by_cron",), partition="2024-04-01-06:30"),
        one("in two dimensions", JOB, assets=("grid",), partition="a|2024-01-02"),
        one("in two dimensions, one of them wrong", JOB, assets=("grid",), partition="z|2024-01-02"),
        several(
            "identity: each from its own",
            Launch(job=JOB, assets=("letters",), partition="c"),
            Launch(job=JOB, assets=("same_letters",), partition="c"),
        ),
        several(
            "all of them for one",
            *(Launch(job=JOB, assets=("few",), partition=key) for key in ("x", "y")),
            Launch(job=JOB, assets=("of_all_few",)),
        ),
        several(
            "the day before",
            Launch(job=JOB, assets=("daily",), partition="2024-01-10"),
            Launch(job=JOB, assets=("day_after",), partition="2024-01-11"),
        ),
        several(
            "the days of a week",
            *(Launch(job=JOB, assets=("short",), partition=f"2024-01-0{day}") for day in (7, 8, 9)),
            Launch(job=JOB, assets=("of_short",), partition="2024-01-07"),
        ),
        several(
            "the last one",
            Launch(job=JOB, assets=("few",), partition="y"),
            Launch(job=JOB, assets=("of_last",)),
        ),
        several(
            "one key to another",
            Launch(job=JOB, assets=("few",), partition="x"),
            Launch(job=JOB, assets=("renamed",), partition="1"),
        ),
        several(
            "a dimension of a grid",
            *(Launch(job=JOB, assets=("small_grid",), partition=f"x|{key}") for key in ("1", "2")),
            Launch(job=JOB, assets=("of_dimension",), partition="x"),
        ),
        several(
            "a partition that was not made",
            Launch(job=JOB, assets=("letters",), partition="a"),
            Launch(job=JOB, assets=("same_letters",), partition="b"),
        ),
        one("a range in a single run", JOB, assets=("ranged",), tags=span("2024-01-03", "2024-01-06")),
        one(
            "a range in a single run, with an upstream",
            JOB,
            assets=("ranged", "on_ranged"),
            tags=span("2024-01-03", "2024-01-05"),
        ),
        one("a range of one", JOB, assets=("ranged",), tags=span("2024-01-03", "2024-01-03")),
        one("a static range", JOB, assets=("ranged_letters",), tags=span("a", "c")),
        one("a range and materializations by hand", JOB, assets=("yields_each",), tags=span("a", "b")),
        one("a job with a config for each partition", "by_static_config", partition="b"),
        one(
            "a job with a config for each partition, and one at launch",
            "by_static_config",
            partition="b",
            config={"ops": {"takes": {"config": {"key": "own"}}}},
        ),
        one("a job with a daily config", "by_daily_config", partition="2024-01-05"),
        one("a job with partitions and one config", "hard_coded", partition="a"),
        one("a partitioned config that raises", "by_raising_config", partition="a"),
        one("a job of partitioned assets", "daily_job", partition="2024-01-04"),
        one("a graph of ops behind a partitioned asset", JOB, assets=("of_graph",), partition="a"),
        one("a multi-asset", JOB, assets=("left", "right"), partition="b"),
        one("materializations of other partitions", JOB, assets=("logs_others",), partition="a"),
        one("a partitioned asset with a check", JOB, assets=("checked",), partition="a"),
        one("a partitioned asset that fails", JOB, assets=("failing", "behind_failing"), partition="a"),
        one("a partitioned observable source", JOB, assets=("watched",), partition="a"),
        one("what the context tells of a window", JOB, assets=("tells_window",), partition="2024-03-31"),
    ),
)
