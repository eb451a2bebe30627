"""What is indexed of an event."""

import pytest
from isthmus.v1.telemetry_pb2 import AssetCheckEvaluated, AssetKey, AssetMaterialized, Event
from isthmus_store.fact import MAX_NAMES_BYTES, fact_of


def test_names_that_an_index_takes_are_indexed() -> None:
    fact = fact_of(Event(asset_materialized=AssetMaterialized(asset=AssetKey(path=["a", "b"]), partition="p")))
    assert fact is not None
    assert (fact.asset, fact.partition) == ('["a", "b"]', "p")


@pytest.mark.parametrize(
    "event",
    [
        Event(asset_materialized=AssetMaterialized(asset=AssetKey(path=["a" * MAX_NAMES_BYTES]))),
        Event(asset_materialized=AssetMaterialized(partition="\u2603" * (MAX_NAMES_BYTES // 2))),
        Event(asset_check_evaluated=AssetCheckEvaluated(check_name="c" * MAX_NAMES_BYTES)),
    ],
)
def test_names_that_no_index_takes_are_left_to_the_history(event: Event) -> None:
    assert fact_of(event) is None
