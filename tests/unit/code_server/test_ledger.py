"""The ledger keeps the last word about each asset and partition, and the keys of dynamic partitions."""

import os
from pathlib import Path

from isthmus_code_server.definitions.dagster.ledger import LocationLedger, RecordKind

MADE, SEEN = RecordKind.MATERIALIZATION, RecordKind.OBSERVATION


def test_the_last_record_of_a_kind_wins(tmp_path: Path) -> None:
    ledger = LocationLedger(tmp_path)
    for entry in ("first", "second"):
        ledger.record("a/b", kind=MADE, partition=None, entry=entry)
    ledger.record("a/b", kind=SEEN, partition=None, entry="seen")
    last = ledger.last("a/b", kind=MADE)
    assert last is not None
    assert (last.entry, last.partition) == ("second", None)
    assert ledger.last("a", kind=MADE) is None


def test_partitions_are_kept_apart_and_in_the_order_of_time(tmp_path: Path) -> None:
    ledger = LocationLedger(tmp_path)
    for partition in ("x", "a", "x"):
        ledger.record("asset", kind=MADE, partition=partition, entry=f"of {partition}")
    assert [entry.partition for entry in ledger.by_partition("asset", kind=MADE)] == ["a", "x"]
    of_a, last = ledger.last("asset", kind=MADE, partition="a"), ledger.last("asset", kind=MADE)
    assert of_a is not None
    assert last is not None
    assert (of_a.entry, last.entry) == ("of a", "of x")
    assert of_a.storage_id < last.storage_id


def test_names_may_hold_any_character(tmp_path: Path) -> None:
    ledger = LocationLedger(tmp_path)
    ledger.record("../../etc", kind=MADE, partition="../..", entry="e")
    assert ledger.last("../../etc", kind=MADE, partition="../..") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["assets"]


def test_dynamic_partitions_are_added_once_and_deleted(tmp_path: Path) -> None:
    ledger = LocationLedger(tmp_path)
    assert ledger.dynamic_partitions("customers") == []
    ledger.add_dynamic_partitions("customers", keys=["b", "a"])
    ledger.add_dynamic_partitions("customers", keys=["a", "c"])
    ledger.delete_dynamic_partition("customers", key="b")
    ledger.delete_dynamic_partition("customers", key="never there")
    assert ledger.dynamic_partitions("customers") == ["a", "c"]


def test_processes_that_add_side_by_side_lose_nothing(tmp_path: Path) -> None:
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            for step in range(10):
                LocationLedger(tmp_path).add_dynamic_partitions("p", keys=[f"{number}-{step}"])
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert len(LocationLedger(tmp_path).dynamic_partitions("p")) == 40
