"""A policy, read: which facts it wants, and at what pace it tells them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from isthmus.v1.control_plane_pb2 import AlertPolicy
from isthmus_store.alert_receiver import endpoint_of, receivers_of
from isthmus_store.record.alert import AlertPolicyRow

from isthmus_control_plane.alerting.fact import Fact, dedup_of
from isthmus_control_plane.validation import alert_kind as kinds
from isthmus_control_plane.validation.asset_query import Paths
from isthmus_control_plane.validation.quiet import Quiet, quiet_of

#: How long what belongs together is gathered before it is told, seconds.
WAIT_S: Final = 5.0
#: How long what comes after a message is gathered for the next one, seconds.
EVERY_S: Final = 300.0
#: Of a disk, percent that are free.
BELOW_PERCENT: Final = 10.0

_NAMES: Final = ("jobs", "locations", "agents", "schedules", "sensors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """When messages go."""

    wait: timedelta
    every: timedelta
    quiet: Quiet | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Who is told of what."""

    deployment: str
    name: str
    kinds: frozenset[str]
    #: By field, as in jobs: what a name must be like; a field that is missing restricts nothing.
    names: Mapping[str, re.Pattern[str]]
    tags: Mapping[str, str]
    #: The selection; empty for all.
    assets: str
    longer_than_s: float
    deeper_than: int
    after: int
    below_percent: float
    #: None for each kind's own default.
    recovery: bool | None
    renotify: timedelta | None
    pace: Pace
    endpoints: tuple[str, ...]
    is_muted: bool

    @classmethod
    def of(cls, row: AlertPolicyRow, *, now: datetime) -> Self:
        """Read a stored policy, which was valid when it was stored."""
        said = AlertPolicy.FromString(row.body)
        return cls(
            deployment=row.deployment,
            name=row.name,
            kinds=frozenset(said.on) & frozenset(kinds.KINDS),
            names={field: _any_of(getattr(said, field)) for field in _NAMES if getattr(said, field)},
            tags=dict(said.tags),
            assets=said.assets,
            longer_than_s=said.longer_than_s,
            deeper_than=said.deeper_than,
            after=said.after or 1,
            below_percent=said.below_percent or BELOW_PERCENT,
            recovery=said.recovery if said.HasField("recovery") else None,
            renotify=timedelta(seconds=said.renotify_s) if said.renotify_s else None,
            pace=_pace(said),
            endpoints=tuple(sorted({endpoint_of(row.deployment, it) for it in receivers_of(said)})),
            is_muted=row.is_muted(now),
        )

    def wants(self, fact: Fact, *, assets: Paths | None = None) -> bool:
        """Tell whether the policy tells a fact; `assets` are those that its selection has, None for all."""
        return fact.kind in self.kinds and self.covers(fact, assets=assets) and self._exceeds(fact)

    def covers(self, fact: Fact, *, assets: Paths | None = None) -> bool:
        """Tell whether a fact is about what the policy is restricted to, whatever its kind."""
        if fact.deployment != self.deployment:
            return False
        about = {
            "jobs": fact.job,
            "locations": fact.location,
            "agents": fact.agent,
            "schedules": fact.schedule,
            "sensors": fact.sensor,
        }
        if any(about[field] and not pattern.fullmatch(about[field]) for field, pattern in self.names.items()):
            return False
        if fact.job and not _has_tags(fact.tags, self.tags):
            return False
        return not fact.asset or assets is None or fact.asset in assets

    def tells_end(self, kind: str) -> bool:
        """Tell whether the end of what a kind tells is told, too."""
        return kinds.KINDS[kind].lasts if self.recovery is None else self.recovery

    def dedup(self, kind: str, subject: str) -> str:
        """Return by what receivers tell that messages are about the same."""
        return dedup_of(self.name, deployment=self.deployment, kind=kind, subject=subject)

    def _exceeds(self, fact: Fact) -> bool:
        match fact.kind:
            case kinds.RUN_LONG | kinds.RUN_WAITING | kinds.BACKFILL_STALLED:
                return fact.value > self.longer_than_s
            case kinds.QUEUE_DEEP:
                return fact.value > self.deeper_than
            case kinds.SCHEDULE_FAILED | kinds.SENSOR_FAILED:
                return fact.value >= self.after
            case kinds.DISK_LOW:
                return fact.value < self.below_percent
            case _:
                return True


def _pace(said: AlertPolicy) -> Pace:
    return Pace(
        wait=timedelta(seconds=said.wait_s if said.HasField("wait_s") else WAIT_S),
        every=timedelta(seconds=said.every_s if said.HasField("every_s") else EVERY_S),
        quiet=quiet_of(said.quiet) if said.HasField("quiet") else None,
    )


def _any_of(patterns: "list[str]") -> re.Pattern[str]:
    """Return what matches any of some names with * for any text."""
    return re.compile("|".join(".*".join(map(re.escape, it.split("*"))) for it in patterns), re.DOTALL)


def _has_tags(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in tags and value in {"", tags[key]} for key, value in wanted.items())
