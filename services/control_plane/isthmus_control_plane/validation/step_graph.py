"""Which ops of a job begin at once, and in which pools these are. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from isthmus.v1 import telemetry_pb2


@dataclass(frozen=True, slots=True)
class StepGraph:
    """The ops of a job some of which are in pools, by their handles."""

    upstream: Mapping[str, frozenset[str]]
    #: Of those that are in one.
    pools: Mapping[str, str]

    @classmethod
    def of(cls, job: telemetry_pb2.JobSnapshot) -> "StepGraph | None":
        """Read it from a job's snapshot; None for a job without pools, of which nobody asks."""
        if not job.pools:
            return None
        return cls({op.name: frozenset(op.upstream) for op in job.ops}, {op.name: op.pool for op in job.ops if op.pool})

    def under(self, names: Collection[str]) -> frozenset[str]:
        """Return the ops that are named, and those inside of graphs that are."""
        inside = tuple(f"{name}." for name in names)
        return frozenset(op for op in self.upstream if op in names or op.startswith(inside))

    def root_pools(self, chosen: Collection[str]) -> tuple[str, ...]:
        """Return the pools of the ops that begin at once when these are executed; none where one of them is in no pool."""
        roots = [op for op in chosen if self.upstream[op].isdisjoint(chosen)]
        found = {self.pools.get(op, "") for op in roots}
        return () if "" in found else tuple(sorted(found))
