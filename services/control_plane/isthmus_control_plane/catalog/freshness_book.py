"""Which assets are to be fresh, how fresh they are, and when that changes next. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from isthmus_store.asset_freshness import FreshnessRow

from isthmus_control_plane.catalog.freshness import FreshnessState, freshness, next_change
from isthmus_control_plane.validation.policy import Freshness

#: A deployment, and an asset of it as `fact.asset_text` writes it.
AssetName = tuple[str, str]
_STATES: Final = {it.value: it for it in FreshnessState}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An asset with a policy."""

    policy: Freshness
    materialized_at: datetime | None
    #: What was told of it last.
    told: FreshnessState
    #: When it is to be judged; None for not before something happens.
    judge_at: datetime | None


class FreshnessBook:
    """All assets with a policy."""

    def __init__(self) -> None:
        self._entries: dict[AssetName, _Entry] = {}
        self._judged_at: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def names(self) -> Collection[AssetName]:
        """The assets with a policy."""
        return self._entries.keys()

    def replace(
        self,
        policies: Mapping[AssetName, Freshness],
        *,
        made: Mapping[AssetName, datetime],
        told: Iterable[FreshnessRow],
        now: datetime,
    ) -> list[FreshnessRow]:
        """Take in which policies there are, and what was told; returns what was told of assets without a policy."""
        rows = {(it.deployment, it.asset): it for it in told}
        before = self._entries
        self._entries = {}
        for name, policy in policies.items():
            # Another release may know more states.
            state = _STATES.get(rows[name].state, FreshnessState.UNKNOWN) if name in rows else FreshnessState.UNKNOWN
            known = before.get(name)
            entry = _Entry(policy, made.get(name), state, now)
            is_same = known is not None and replace(known, judge_at=now) == entry
            self._entries[name] = known if known is not None and is_same else entry
        return [row for name, row in rows.items() if name not in policies]

    def made(self, name: AssetName, at: datetime | None, *, now: datetime) -> None:
        """Take note of when an asset was materialized last; None for never."""
        entry = self._entries.get(name)
        if entry is not None and entry.materialized_at != at:
            self._entries[name] = replace(entry, materialized_at=at, judge_at=now)

    def changes(self, now: datetime) -> list[FreshnessRow]:
        """Judge what is due, and return what is not as it was told last."""
        # A clock that was set back makes assets younger.
        is_back = self._judged_at is not None and now < self._judged_at
        self._judged_at = now
        found = []
        for name, entry in self._entries.items():
            if is_back or (entry.judge_at is not None and entry.judge_at <= now):
                state = freshness(entry.policy, materialized_at=entry.materialized_at, now=now)
                judge_at = next_change(entry.policy, materialized_at=entry.materialized_at, now=now)
                # What is not told in the end is judged again.
                self._entries[name] = replace(entry, judge_at=judge_at if state is entry.told else now)
                if state is not entry.told:
                    deployment, asset = name
                    found.append(FreshnessRow(deployment=deployment, asset=asset, state=state.value, changed_at=now))
        return found

    def tell(self, rows: Iterable[FreshnessRow]) -> None:
        """Take note of what was told."""
        for row in rows:
            name = row.deployment, row.asset
            entry = self._entries[name]
            judge_at = next_change(entry.policy, materialized_at=entry.materialized_at, now=row.changed_at)
            self._entries[name] = replace(entry, told=FreshnessState(row.state), judge_at=judge_at)

    def next_at(self) -> datetime | None:
        """Return when the next asset is to be judged; None for never."""
        return min((it.judge_at for it in self._entries.values() if it.judge_at is not None), default=None)
