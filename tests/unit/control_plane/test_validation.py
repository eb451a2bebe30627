"""What requests are refused, and in which words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import AssetCheckRef, CodeSource, LogCursor
from isthmus.v1.telemetry_pb2 import (
    LOG_STREAM_STDOUT,
    AssetCheckSnapshot,
    AssetKey,
    AssetSnapshot,
    JobSnapshot,
    LocationSnapshot,
    PartitionsSnapshot,
)
from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field, queue, request
from isthmus_control_plane.validation.definition import Definitions
from isthmus_control_plane.validation.launch import dynamic_keys, launch_violations, resolve_job
from isthmus_control_plane.validation.suggestion import unknown


def told(violations: list[Violation]) -> dict[str, str]:
    return {it.field: it.description for it in violations}


@pytest.mark.parametrize("name", ["a", "0", "sales", "sales-eu_2", "x" * 63])
def test_names_that_routing_keys_can_carry_pass(name: str) -> None:
    assert field.name(name, field="name") == []


@pytest.mark.parametrize("name", ["", "A", "a.b", "-a", "a-", "a b", "a\n", "x" * 64, "é", "*", "#"])
def test_names_that_routing_keys_cannot_carry_are_refused(name: str) -> None:
    assert [it.field for it in field.name(name, field="name")] == ["name"]


def test_a_refused_name_comes_with_one_that_would_do() -> None:
    assert told(field.name("My Sales!", field="name"))["name"].endswith("got 'My Sales!'; try 'my-sales'")


@given(st.text())
def test_any_name_is_judged_and_a_hint_is_always_a_good_name(name: str) -> None:
    for violation in field.name(name, field="name"):
        _, _, hint = violation.description.rpartition("; try ")
        if "; try " in violation.description:
            assert field.name(hint.strip("'"), field="name") == []


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        ("6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11", True),
        ("6F1C7A52-3C1B-4A57-9D70-0D9C1F2A4B11", True),
        ("", False),
        ("42", False),
        ("6f1c7a523c1b4a579d700d9c1f2a4b11", False),
        ("{6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11}", False),
        ("6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b1\u0661", False),
    ],
)
def test_run_ids_are_uuids(value: str, *, is_valid: bool) -> None:
    assert (field.run_id(value) == []) is is_valid


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", None),
        ("  ", None),
        ('{"ops": {"load": {"config": {"limit": 5}}}}', None),
        ('{"text": "\\u0000"}', None),
        ("[1]", "must be a JSON object; is a list"),
        ("{'a': 1}", "is not JSON: Expecting property name enclosed in double quotes in line 1, column 2"),
        ('{"a": NaN}', "is not JSON: NaN is no JSON value"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "is nested too deeply"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "is nested too deeply"),
        ('{"a": ' + "[" * 99 + "]" * 99 + "}", None),
        ('{"a": "' + "x" * 100_000 + '"}', "must have at most 99,999 bytes; has 100,009."),
    ],
)
def test_run_config_is_a_json_object(value: str, words: str | None) -> None:
    found = field.json_object(value, field="run_config_json", max_bytes=399_999 if "nested" in str(words) else 99_999)
    assert (not found) if words is None else found[0].description.startswith(words)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
def test_whatever_json_writes_is_accepted(document: dict[str, object]) -> None:
    assert field.json_object(json.dumps(document), field="run_config_json", max_bytes=10**6) == []


def launch(**fields: object) -> api.LaunchRunRequest:
    return api.LaunchRunRequest(**{"location": "sales", "job_name": "nightly"} | fields)  # type: ignore[arg-type]


def asset(*path: str) -> AssetKey:
    return AssetKey(path=path)


@pytest.mark.parametrize(
    ("wanted", "fields"),
    [
        (launch(), set()),
        (launch(job_name=""), {"job_name"}),
        (launch(job_name="", asset_selection=[asset("raw")]), set()),
        (launch(location=""), {"location"}),
        (launch(tags={"": "x"}), {"tags"}),
        (launch(tags={"k": "v" * 8193}), {"tags.k"}),
        (launch(tags={str(n): "" for n in range(201)}), {"tags"}),
        (launch(job_name="a\0b"), {"job_name"}),
        (launch(op_selection=["ok", ""]), {"op_selection[1]"}),
        (launch(asset_selection=[asset()]), {"asset_selection[0]"}),
        (launch(asset_selection=[asset("a", "")]), {"asset_selection[0].path[1]"}),
        (launch(check_selection=[AssetCheckRef(asset=asset("a"))]), {"check_selection[0].check_name"}),
        (launch(partition_key="x" * 1025), {"partition_key"}),
        (launch(deployment="a.b", run_id="?"), {"deployment", "run_id"}),
    ],
)
def test_each_fault_of_a_launch_is_named_by_its_path(wanted: api.LaunchRunRequest, fields: set[str]) -> None:
    assert set(told(request.launch_run(wanted))) == fields


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        (CodeSource(module="my_project.definitions"), set()),
        (CodeSource(package="über.paket"), set()),
        (CodeSource(python_file="some/where.py"), set()),
        (CodeSource(), {"settings.source"}),
        (CodeSource(module=""), {"settings.source.module"}),
        (CodeSource(module="some/where.py"), {"settings.source.module"}),
        (CodeSource(module="my-project"), {"settings.source.module"}),
        (CodeSource(python_file="a\0b"), {"settings.source.python_file"}),
    ],
)
def test_a_location_says_where_its_definitions_are(source: CodeSource, fields: set[str]) -> None:
    settings = api.LocationSettings(name="sales", source=source)
    assert set(told(request.apply_location(api.ApplyLocationRequest(settings=settings)))) == fields


@pytest.mark.parametrize("timeout_s", [float("nan"), float("inf"), -1.0, 3601.0])
def test_a_location_loads_in_a_sane_time_with_sane_variables(timeout_s: float) -> None:
    settings = api.LocationSettings(
        name="sales", source=CodeSource(module="m"), env={"1A": "x", "OK": "a\0"}, load_timeout_s=timeout_s
    )
    found = told(request.apply_location(api.ApplyLocationRequest(settings=settings)))
    assert set(found) == {"settings.env", "settings.env.OK", "settings.load_timeout_s"}


def test_a_list_of_runs_is_asked_for_with_known_states_times_and_pages() -> None:
    query = api.ListRunsQuery(page_size=501, states=[0, 2, 99])  # type: ignore[list-item]
    query.queued_after.seconds = 10**14
    assert set(told(request.list_runs(query))) == {"page_size", "states[0]", "states[2]", "queued_after"}


def test_a_stream_of_output_is_asked_for_once() -> None:
    cursors = [LogCursor(stream=LOG_STREAM_STDOUT), LogCursor(stream=LOG_STREAM_STDOUT), LogCursor()]
    wanted = api.StreamLogsRequest(run_id="6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11", cursors=cursors)
    assert set(told(request.stream_logs(wanted))) == {"cursors[1].stream", "cursors[2].stream"}
    for value, step in (("../../x", ""), ("A" * 64, ""), ("a" * 64, "step")):
        wanted = api.StreamLogsRequest(run_id=wanted.run_id, value_sha256=value, step_key=step)
        assert set(told(request.stream_logs(wanted))) == {"value_sha256"}
    assert not request.stream_logs(api.StreamLogsRequest(run_id=wanted.run_id, value_sha256="a" * 64))


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("nihgtly", ["nightly", "weekly"], "unknown job 'nihgtly'; did you mean 'nightly'?"),
        ("x", [], "unknown job 'x'; there is none"),
        ("x", ["nightly"], "unknown job 'x'; there is only 'nightly'"),
        ("x", ["b", "a"], "unknown job 'x'; there are 'a' and 'b'"),
        ("x", [f"job{n}" for n in range(20)], "unknown job 'x'; none of the 20 that exist has a name like it"),
    ],
)
def test_an_unknown_name_comes_with_what_may_have_been_meant(name: str, known: list[str], words: str) -> None:
    assert unknown("job", name=name, known=known) == words


DEFINITIONS = Definitions.of(
    LocationSnapshot(
        jobs=[
            JobSnapshot(name="nightly"),
            JobSnapshot(name="regions", partitions=PartitionsSnapshot(kind="static", keys=["north", "south"])),
            JobSnapshot(name="daily", partitions=PartitionsSnapshot(kind="time_window", format="%Y-%m-%d")),
            JobSnapshot(name="only_raw", assets=[asset("raw")]),
            JobSnapshot(name="__ASSET_JOB_0", is_implicit_asset_job=True, assets=[asset("raw"), asset("mart", "a")]),
            JobSnapshot(name="__ASSET_JOB_1", is_implicit_asset_job=True, assets=[asset("by_day")]),
        ],
        assets=[
            AssetSnapshot(key=asset("raw"), is_executable=True, checks=[AssetCheckSnapshot(name="is_fresh")]),
            AssetSnapshot(key=asset("mart", "a"), is_executable=True),
            AssetSnapshot(
                key=asset("by_day"),
                is_executable=True,
                partitions=PartitionsSnapshot(kind="static", keys=["mon", "tue"]),
            ),
            AssetSnapshot(key=asset("outside"), checks=[AssetCheckSnapshot(name="is_there")]),
        ],
    )
)


@pytest.mark.parametrize(
    ("wanted", "faults"),
    [
        (launch(), {}),
        (launch(job_name="nightl"), {"job_name": "did you mean 'nightly'?"}),
        (launch(job_name="zzz"), {"job_name": "there are 'daily', 'nightly', 'only_raw' and 'regions'"}),
        (launch(job_name="", asset_selection=[asset("raw"), asset("mart", "a")]), {}),
        (launch(job_name="", asset_selection=[asset("mart/a")]), {"asset_selection[0]": "did you mean 'mart/a'?"}),
        (launch(job_name="", asset_selection=[asset("raww")]), {"asset_selection[0]": "did you mean 'raw'?"}),
        (launch(job_name="", asset_selection=[asset("outside")]), {"asset_selection[0]": "is external"}),
        (
            launch(job_name="", asset_selection=[asset("raw"), asset("by_day")]),
            {"asset_selection": "no job executes all of these together"},
        ),
        (launch(job_name="only_raw", asset_selection=[asset("raw")]), {}),
        (
            launch(job_name="only_raw", asset_selection=[asset("mart", "a")]),
            {"asset_selection[0]": "asset 'mart/a' is not in job 'only_raw'"},
        ),
        (launch(job_name="", check_selection=[AssetCheckRef(asset=asset("raw"), check_name="is_fresh")]), {}),
        (
            launch(job_name="", check_selection=[AssetCheckRef(asset=asset("raw"), check_name="fresh")]),
            {"check_selection[0].check_name": "did you mean 'is_fresh'?"},
        ),
        (launch(job_name="", check_selection=[AssetCheckRef(asset=asset("outside"), check_name="is_there")]), {}),
        (launch(job_name="regions", partition_key="north"), {}),
        (launch(job_name="regions", partition_key="nord"), {"partition_key": "did you mean 'north'?"}),
        (launch(job_name="daily", partition_key="2026-01-01"), {}),
        (launch(partition_key="north"), {"partition_key": "job 'nightly' has no partitions"}),
        (launch(job_name="", asset_selection=[asset("by_day")], partition_key="mon"), {}),
        (
            launch(job_name="", asset_selection=[asset("by_day")], partition_key="sun"),
            {"partition_key": "unknown partition 'sun'"},
        ),
    ],
)
def test_what_the_location_does_not_define_is_named(wanted: api.LaunchRunRequest, faults: dict[str, str]) -> None:
    found = told(launch_violations(wanted, definitions=DEFINITIONS))
    assert set(found) == set(faults)
    assert all(words in found[path] for path, words in faults.items())


def test_assets_are_executed_by_the_implicit_job_that_has_them_all() -> None:
    assert (
        resolve_job(launch(job_name="", asset_selection=[asset("by_day")]), definitions=DEFINITIONS) == "__ASSET_JOB_1"
    )
    assert resolve_job(launch(job_name="nightly"), definitions=DEFINITIONS) == "nightly"


def test_the_dynamic_part_of_a_key_is_found_in_every_scheme() -> None:
    tenants = PartitionsSnapshot(kind="dynamic", dynamic_name="tenants")
    days = PartitionsSnapshot(kind="time_window")
    both = PartitionsSnapshot(kind="multi", dimensions={"tenant": tenants, "day": days})
    keys = [AssetKey(path=[name]) for name in ("plain", "crossed")]
    snapshot = LocationSnapshot(
        jobs=[JobSnapshot(name="all", assets=keys), JobSnapshot(name="own", partitions=tenants)],
        assets=[AssetSnapshot(key=keys[0], partitions=tenants), AssetSnapshot(key=keys[1], partitions=both)],
    )
    definitions = Definitions.of(snapshot)

    def found(job: str, key: str, *assets: AssetKey) -> dict[str, str]:
        launch = api.LaunchRunRequest(job_name=job, partition_key=key, asset_selection=assets)
        return dynamic_keys(launch, definitions=definitions)

    assert found("own", "acme") == {"tenants": "acme"}
    assert found("all", "acme", keys[0]) == {"tenants": "acme"}
    # The parts of a key are in the order of the dimensions' names.
    assert found("all", "2030-01-31|acme", keys[1]) == {"tenants": "acme"}
    assert found("all", "") == {}
    assert found("nobody", "acme") == {}


@pytest.mark.parametrize(
    ("retries", "fields"),
    [
        (api.RunRetries(max_retries=3, by_class={"worker": 5}, backoff_s=1, max_backoff_s=60), []),
        (api.RunRetries(by_class={"steps": 1}), ["settings.run_retries.by_class[steps]"]),
        (api.RunRetries(max_retries=5_000), ["settings.run_retries.max_retries"]),
        (api.RunRetries(backoff_s=float("nan")), ["settings.run_retries.backoff_s"]),
        (api.RunRetries(max_backoff_s=-1), ["settings.run_retries.max_backoff_s"]),
    ],
)
def test_rules_of_retries_are_checked(retries: api.RunRetries, fields: list[str]) -> None:
    request = api.SetQueueSettingsRequest(settings=api.QueueSettings(run_retries=retries))
    assert [it.field for it in queue.set_queue_settings(request)] == fields


def test_times_are_checked() -> None:
    times = api.RunTimeouts(start_s=-1, cancel_s=float("inf"), max_runtime_s=5)
    request = api.SetQueueSettingsRequest(settings=api.QueueSettings(run_timeouts=times))
    fields = [it.field for it in queue.set_queue_settings(request)]
    assert fields == ["settings.run_timeouts.start_s", "settings.run_timeouts.cancel_s"]
