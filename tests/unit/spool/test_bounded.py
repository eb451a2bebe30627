"""Events that are too large: what they name stays, what they tell is cut with a note, and the whole is kept beside."""

import errno
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import Parse
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_spool.bounded import MAX_EVENT_BYTES, MAX_VALUE_BYTES, PREVIEW_BYTES, bounded
from isthmus_spool.event_place import CONTENT
from isthmus_spool.journal import JournalReader, JournalWriter
from isthmus_spool.values import ValueKeeper

RUN = pb.RunRef(run_id="0192", attempt=1)


class Kept(dict[str, bytes]):
    """What was kept, by name."""

    def keep(self, digest: str, data: bytes) -> None:
        self[digest] = data


@pytest.fixture
def kept() -> Kept:
    return Kept()


def cut(event: pb.Event, kept: Kept) -> pb.Event:
    before = event.SerializeToString()
    body = bounded(event, keep=kept.keep)
    assert event.SerializeToString() == before, "the caller's event stays as it is"
    assert len(body) <= MAX_EVENT_BYTES
    assert all(sha256(data).hexdigest() == digest for digest, data in kept.items())
    return pb.Event.FromString(body)


def materialized(*entries: pb.MetadataEntry) -> pb.Event:
    body = pb.AssetMaterialized(asset=pb.AssetKey(path=["a", "b"]), partition="p", metadata=entries)
    return pb.Event(run=RUN, step_key="step", message="made", asset_materialized=body)


def entry(label: str, **value: object) -> pb.MetadataEntry:
    return pb.MetadataEntry(label=label, value=pb.MetadataValue(**value))  # type: ignore[arg-type]


def test_a_small_event_is_written_as_it_is(kept: Kept) -> None:
    event = materialized(entry("x", text="y" * (MAX_VALUE_BYTES - 200)))
    assert cut(event, kept) == event
    assert not kept


def test_a_large_value_is_cut_with_its_size_and_hash_and_kept_whole(kept: Kept) -> None:
    text = "ü" * 10_000_000
    event = cut(materialized(entry("small", int=3), entry("large", text=text)), kept)
    small, large = event.asset_materialized.metadata
    assert small.value.int == 3
    digest = sha256(text.encode()).hexdigest()
    assert large.value.text.startswith("ü" * (PREVIEW_BYTES // 2) + " … [cut: 20000000 bytes in all, SHA-256 " + digest)
    assert kept[digest].decode() == text
    told = pb.Cut(
        field="asset_materialized.metadata[large].value.text", size_bytes=20_000_000, sha256=digest, is_kept=True
    )
    assert list(event.cuts) == [told]
    assert (event.run, event.step_key, event.message) == (RUN, "step", "made")
    assert list(event.asset_materialized.asset.path) == ["a", "b"]


def test_cut_json_is_json_and_a_cut_integer_is_a_text(kept: Kept) -> None:
    document = json.dumps({"rows": ["x"] * 200_000})
    event = cut(materialized(entry("j", json=document), entry("i", big_int="9" * 300_000)), kept)
    j, i = (each.value for each in event.asset_materialized.metadata)
    assert json.loads(j.json).startswith('{"rows": ["x", "x"')
    assert i.WhichOneof("value") == "text"
    assert document.encode() in kept.values()


def test_many_values_that_are_too_large_together_are_cut_from_the_largest_on(kept: Kept) -> None:
    entries = [entry(f"v{size}", text="x" * size * 1000) for size in range(100, 250, 10)]
    values = [each.value.text for each in cut(materialized(*entries), kept).asset_materialized.metadata]
    assert values[0] == "x" * 100_000
    assert "[cut: 240000 bytes" in values[-1]


def test_a_list_of_many_small_entries_is_cut_to_its_beginning_and_says_so(kept: Kept) -> None:
    original = materialized(*(entry(f"label {index:06}", text="some text" * 5) for index in range(30_000)))
    event = cut(original, kept)
    labels = [each.label for each in event.asset_materialized.metadata]
    assert labels == [f"label {index:06}" for index in range(len(labels))]
    assert 1000 < len(labels) < 30_000
    note = f"made … [cut: asset_materialized.metadata has {len(labels)} of 30000 entries; "
    assert event.message.startswith(note)
    (whole,) = kept.values()
    assert Parse(whole, pb.Event()) == original


def test_a_table_is_cut_and_what_stands_beside_it_stays(kept: Kept) -> None:
    records = [
        pb.TableRecord(cells={"n": pb.MetadataValue(int=n), "s": pb.MetadataValue(text="t" * 20)})
        for n in range(50_000)
    ]
    event = cut(
        materialized(entry("a", text="x"), entry("t", table=pb.Table(records=records)), entry("z", int=1)), kept
    )
    a, t, z = event.asset_materialized.metadata
    assert (a.value.text, z.value.int) == ("x", 1)
    assert 0 < len(t.value.table.records) < 50_000
    assert "asset_materialized.metadata[t].value.table.records has" in event.message


def test_maps_are_cut_by_their_values_and_to_their_first_keys(kept: Kept) -> None:
    body = pb.AssetObserved(asset=pb.AssetKey(path=["a"]), tags={f"k{n:06}": "v" * 60 for n in range(30_000)})
    body.tags["k000000"] = "w" * 1_000_000
    tags = cut(pb.Event(asset_observed=body), kept).asset_observed.tags
    assert "[cut: 1000000 bytes in all" in tags["k000000"]
    assert "k000001" in tags
    assert "k029999" not in tags


def test_a_failure_with_long_causes_stays_a_failure(kept: Kept) -> None:
    failure = pb.Failure(error_class="E", message="m" * 2_000_000, stack=["frame\n" * 5_000] * 10)
    for _ in range(20):
        failure = pb.Failure(error_class="E", message="m", stack=["f" * 4_000] * 100, cause=failure)
    event = cut(pb.Event(run=RUN, run_failed=pb.RunFailed(reason=pb.RUN_REASON_USER_ERROR, failure=failure)), kept)
    assert event.run_failed.reason == pb.RUN_REASON_USER_ERROR
    assert event.run_failed.failure.error_class == "E"
    assert event.run_failed.failure.cause.stack


def test_what_names_a_thing_is_never_cut(kept: Kept) -> None:
    key = pb.AssetKey(path=["p" * 40] * 30_000)
    original = pb.Event(run=RUN, step_key="s", asset_materialized=pb.AssetMaterialized(asset=key))
    event = cut(original, kept)
    assert event.WhichOneof("body") == "engine_event"
    assert event.engine_event.kind == "asset_materialized"
    assert "This event (asset_materialized) could not be told: it has " in event.message
    assert (event.run, event.step_key) == (RUN, "s")
    (whole,) = kept.values()
    assert Parse(whole, pb.Event()) == original


@pytest.mark.parametrize("body", ["run_started", "run_failed", "run_canceled", "step_started", "step_failed"])
def test_what_moves_a_run_moves_it_also_when_it_cannot_be_told(body: str, kept: Kept) -> None:
    event = pb.Event(run=RUN, step_key="s" if body.startswith("step") else "s" * 2_000_000)
    getattr(event, body).SetInParent()
    if body == "run_failed":
        event.run_failed.reason = pb.RUN_REASON_OUT_OF_MEMORY
    if body.startswith("step"):
        event.cuts.extend(pb.Cut(field="x" * 1000) for _ in range(2000))
    told = pb.Event.FromString(bounded(event, keep=kept.keep))
    assert told.WhichOneof("body") == body
    assert told.run_failed.reason == event.run_failed.reason


def test_a_value_that_cannot_be_kept_is_cut_all_the_same() -> None:
    def full(_: str, __: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    event = pb.Event.FromString(bounded(materialized(entry("x", text="x" * 5_000_000)), keep=full))
    assert event.asset_materialized.metadata[0].value.text.endswith(", not kept: No space left on device]")
    assert not event.cuts[0].is_kept


def test_values_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    keeper = ValueKeeper(tmp_path, max_bytes=10)
    keeper.keep("a" * 64, b"12345678")
    keeper.keep("a" * 64, b"12345678")
    with pytest.raises(OSError, match="as much as it may"):
        keeper.keep("b" * 64, b"123")
    assert [path.name for path in (tmp_path / "values").iterdir()] == ["a" * 64]


def test_a_journal_takes_an_event_of_any_size(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "events.journal")
    writer.append(materialized(entry("x", text="x" * 67_200_000)))
    writer.append(pb.Event(message="next"))
    first, second = JournalReader(tmp_path / "events.journal").read().events
    assert (tmp_path / "values" / first.cuts[0].sha256).stat().st_size == 67_200_000
    assert (second.seq, second.message) == (2, "next")


#: Names: what is too long of these is no shorter name of the same thing.
NAMES = {
    "AssetCheckEvaluated": {"check_name", "partition"},
    "AssetCheckPlanned": {"check_name", "partition"},
    "AssetFailed": {"partition"},
    "AssetKey": {"path"},
    "AssetMaterialized": {"partition"},
    "AssetObserved": {"partition"},
    "AssetPlanned": {"partition"},
    "CheckedMaterialization": {"run_id"},
    "ColumnDep": {"column"},
    "Cut": {"field", "sha256"},
    "EngineEvent": {"kind"},
    "Event": {"step_key"},
    "HookCompleted": {"hook_name"},
    "HookFailed": {"hook_name"},
    "HookSkipped": {"hook_name"},
    "Failure": {"source"},
    "InputLoaded": {"input_name", "manager_key", "upstream_output_name", "upstream_step_key"},
    "JobReference": {"job_name", "location_name", "repository_name"},
    "MetadataEntry": {"label"},
    "MetadataValue": {"run_id"},
    "OutputHandled": {"manager_key", "output_name"},
    "RunFailed": {"step_key"},
    "RunRef": {"run_id"},
    "RunStarted": {"step_keys"},
    "StepInput": {"input_name"},
    "StepOutput": {"mapping_key", "output_name"},
    "TableColumn": {"name"},
}
#: Events that no journal holds: the control plane's and the agent's own.
ELSEWHERE = {"run_queued", "run_dispatched", "run_starting", "run_cancel_requested", "location_report"}
ELSEWHERE |= {"agent_heartbeat", "agent_stopped", "run_heartbeat", "instruction_result", "snapshot_piece"}


def texts(message: Descriptor, seen: set[str]) -> Iterator[tuple[str, str]]:
    seen.add(message.full_name)
    for each in message.fields:
        if message.name == "Event" and each.name in ELSEWHERE:
            continue
        inner = each.message_type
        is_map = inner is not None and inner.GetOptions().map_entry
        told = inner.fields_by_name["value"] if inner is not None and is_map else each
        inner, kind = told.message_type, told.cpp_type
        if kind == each.CPPTYPE_STRING:
            yield message.name, each.name
        elif inner is not None and inner.full_name not in seen:
            yield from texts(inner, seen)


def test_each_text_of_an_event_is_known_to_be_content_or_a_name() -> None:
    found = set(texts(pb.Event.DESCRIPTOR, set()))
    content = {(message, name) for message, names in CONTENT.items() for name in names}
    names = {(message, name) for message, each in NAMES.items() for name in each}
    assert not content & names
    assert found == content | names
