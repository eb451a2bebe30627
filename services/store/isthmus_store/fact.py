"""What an event says that can be asked for without reading events: pure, and cheap, since each stored event passes here."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from isthmus.v1.telemetry_pb2 import AssetKey, Event

from isthmus_store.record.event import Fact
from isthmus_store.wire import storable

#: The most bytes of an asset's path, partition and check together that are indexed: PostgreSQL refuses an entry of an
#: index above 2,700 bytes, and with it all that is stored in the same transaction. A longer one is in the history alone.
MAX_NAMES_BYTES: Final = 2_000


def asset_text(path: Iterable[str]) -> str:
    """Return an asset's path as it is indexed: no two paths have the same text, and it holds no NUL."""
    return json.dumps(list(path))


def asset_key(text: str) -> AssetKey:
    """Return the asset of an indexed text."""
    return AssetKey(path=json.loads(text))


def fact_of(event: Event) -> Fact | None:
    """Return what is to be indexed of an event; None for nothing, and for names that no index takes."""
    kind = event.WhichOneof("body")
    read = _READERS.get(kind) if kind is not None else None
    if read is None or kind is None:
        return None
    fact = read(getattr(event, kind))
    return fact if _size(fact) <= MAX_NAMES_BYTES else None


def _size(fact: Fact) -> int:
    return len(fact.asset) + len(fact.partition.encode()) + len(fact.check_name.encode())


def _about_asset(body: Any) -> Fact:
    return Fact(asset=asset_text(body.asset.path), partition=storable(body.partition))


def _check_planned(body: Any) -> Fact:
    return _about_check(body, outcome="PLANNED")


def _check_evaluated(body: Any) -> Fact:
    return _about_check(body, outcome="SUCCEEDED" if body.is_passed else "FAILED")


def _about_check(body: Any, *, outcome: str) -> Fact:
    return Fact(
        asset=asset_text(body.asset.path),
        partition=storable(body.partition),
        check_name=storable(body.check_name),
        outcome=outcome,
    )


def _about_run(_: Any) -> Fact:
    return _RUN_FACT


_RUN_FACT: Final = Fact()

#: Events that change a run's state.
RUN_KINDS: Final = frozenset(
    {
        "run_queued",
        "run_dispatched",
        "run_starting",
        "run_started",
        "run_cancel_requested",
        "run_succeeded",
        "run_failed",
        "run_canceled",
    }
)
#: Events about an asset, without those about its checks.
ASSET_KINDS: Final = frozenset({"asset_materialized", "asset_observed", "asset_planned", "asset_failed"})
CHECK_PLANNED: Final = "asset_check_planned"
CHECK_EVALUATED: Final = "asset_check_evaluated"

_READERS: Final[Mapping[str, Callable[[Any], Fact]]] = {
    **dict.fromkeys(RUN_KINDS, _about_run),
    **dict.fromkeys(ASSET_KINDS, _about_asset),
    CHECK_PLANNED: _check_planned,
    CHECK_EVALUATED: _check_evaluated,
}
INDEXED_KINDS: Final = frozenset(_READERS)
