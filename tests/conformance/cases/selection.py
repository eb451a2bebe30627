"""Runs of a part of a job."""

from conformance.case import Group, one

JOB = "__ASSET_JOB"

GROUP = Group(
    name="selection",
    module="selection",
    cases=(
        one("one op", "whole", ops=("first",)),
        one("an op and what stands before it", "whole", ops=("*total",)),
        one("an op and what stands behind it", "whole", ops=("left+",)),
        one("neighbours to a distance", "whole", ops=("+total",)),
        one("several expressions", "whole", ops=("first", "right+")),
        one("a graph as a whole", "whole", ops=("inner",)),
        one("an op inside of a graph", "whole", ops=("inner.second",)),
        one("an op whose input nobody gives", "whole", ops=("needy",)),
        one("an op that is not there", "whole", ops=("no_such",)),
        one(
            "a part with config of the rest left out",
            "configured",
            ops=("second",),
            config={"ops": {"second": {"config": {"n": 2}}}},
        ),
        one(
            "a part with config of the rest given",
            "configured",
            ops=("second",),
            config={"ops": {"first": {"config": {"n": 1}}, "second": {"config": {"n": 2}}}},
        ),
        one("a part of dynamic steps", "dynamic", ops=("split", "use")),
        one("some assets of all", JOB, assets=("a", "c")),
        one("an asset that is not there", JOB, assets=("no_such",)),
        one("an asset of a job that has others too", "some", assets=("b",)),
        one("a part of a multi-asset that can be divided", JOB, assets=("part_x", "part_z")),
        one("one of a multi-asset that cannot be divided", JOB, assets=("whole_x",)),
        one("all of a multi-asset that cannot be divided", JOB, assets=("whole_x", "whole_y")),
        one("a part of a graph of assets", JOB, assets=("graph_x",)),
        one("a part of a divided multi-asset, twice cut by others", JOB, assets=("cut_1", "between", "cut_2")),
        one("the job of everything", JOB, assets=("a", "b", "c", "part_x", "part_y", "part_z")),
    ),
)
