"""What surrounds user code as under Dagster: its repository, its run, an instance that other processes can open."""

import sys
from pathlib import Path

import pytest
from isthmus_code_server.definitions.port import Definitions, SensorTick
from isthmus_code_server.errors import DefinitionsLoadError
from support_code_server import Load, execute, of_body, run_request


@pytest.fixture
def surrounded(load: Load) -> Definitions:
    return load(module="surrounded")


def logged(definitions: Definitions, job: str, *, ops: tuple[str, ...] = ()) -> list[str]:
    events = execute(definitions, run_request(job, ops=ops))
    assert events[-1].HasField("run_succeeded"), events[-1]
    return [event.message for event in of_body(events, "log_message")]


def test_an_op_finds_its_repository(surrounded: Definitions) -> None:
    events = execute(surrounded, run_request("__ASSET_JOB", assets=["census"]))
    assert events[-1].HasField("run_succeeded"), events[-1]
    metadata = of_body(events, "asset_materialized")[0].asset_materialized.metadata
    assert {entry.label: entry.value.text or entry.value.int for entry in metadata} == {
        "repository": "__repository__",
        "assets": 2,
    }


def test_another_process_rebuilds_the_job_and_opens_the_instance(surrounded: Definitions) -> None:
    assert logged(surrounded, "opening", ops=("opened_elsewhere",)) == ["opening ['opened_elsewhere'] True"]


def test_a_run_knows_the_snapshot_of_its_job(surrounded: Definitions) -> None:
    assert logged(surrounded, "looking_at_itself") == [
        "a snapshot True",
        "written True True",
        "sent True True",
        "kept True",
    ]


def test_a_sensor_of_several_assets_has_an_instance(surrounded: Definitions) -> None:
    answer = surrounded.evaluate_sensor("any_news", tick=SensorTick())
    assert answer.skip_reason == "persistent True, of __repository__"


def test_the_start_of_a_run_tells_its_tags(surrounded: Definitions) -> None:
    request = run_request("tagged", partition="b", tags={"tier": "2"})
    start = execute(surrounded, request)[0].run_started
    assert dict(start.tags) == {
        "team": "core",
        "tier": "2",
        "of_partition": "B",
        "dagster/partition": "b",
    } | {key: value for key, value in start.tags.items() if key == "dagster/partition_set"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dagster_home"
    folder.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def said(definitions: Definitions, job: str) -> list[tuple[str, str]]:
    events = execute(definitions, run_request(job))
    assert events[-1].HasField("run_succeeded"), events[-1]
    return [(event.step_key, event.message) for event in of_body(events, "log_message")]


def test_lines_of_managed_loggers_are_in_the_runs_log_from_the_level_on(load: Load, home: Path) -> None:
    (home / "dagster.yaml").write_text(
        "python_logs: {managed_python_loggers: [my_library], python_log_level: WARNING}\n"
    )
    assert said(load(module="surrounded"), "logging_in_many_ways") == [
        ("logs_in_many_ways", "a library warns"),
        ("logs_in_many_ways", "the op warns"),
    ]


def test_handlers_of_the_projects_own_hear_every_line(load: Load, home: Path) -> None:
    heard = home / "heard.txt"
    handler = f"{{class: logging.FileHandler, level: INFO, filename: '{heard}'}}"
    (home / "dagster.yaml").write_text(f"python_logs: {{dagster_handler_config: {{handlers: {{mine: {handler}}}}}}}\n")
    said(load(module="surrounded"), "logging_in_many_ways")
    assert "the op is at work" in heard.read_text()


def test_without_dagster_home_the_file_of_the_projects_folder_counts(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "dagster.yaml").write_text("python_logs: {managed_python_loggers: [my_library]}\n")
    definitions = load(module="surrounded", current_directory=str(tmp_path))
    assert ("logs_in_many_ways", "a library warns") in said(definitions, "logging_in_many_ways")


def test_sections_without_a_meaning_are_named_once(load: Load, home: Path) -> None:
    (home / "dagster.yaml").write_text(
        """
run_retries: {enabled: true, max_retries: 3}
run_monitoring: {enabled: true}
retention: {sensor: {purge_after_days: 7}}
concurrency: {runs: {max_concurrent_runs: 3}}
telemetry: {enabled: true}
"""
    )
    warnings = load(module="surrounded").describe().warnings
    assert [warning.split(" ")[1] for warning in warnings] == [
        "concurrency",
        "run_monitoring",
        "run_retries",
        "retention",
    ]
    said = f"{home / 'dagster.yaml'}: run_retries has no effect here: retries are the control plane's: `isthmus dev`"
    assert any(warning.startswith(said) for warning in warnings)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("python_logs: {manged: []}\n", "manged"),
        ("python_logs: {python_log_level: [\n", "line 2"),
        ("pyton_logs: {}\n", "pyton_logs"),
        ("- a list\n", "dagster.yaml"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(load: Load, home: Path, text: str, hint: str) -> None:
    (home / "dagster.yaml").write_text(text)
    with pytest.raises(DefinitionsLoadError) as caught:
        load(module="surrounded")
    assert caught.value.failure.error_class == "InstanceFileError"
    assert str(home / "dagster.yaml") in caught.value.failure.message
    assert hint in caught.value.failure.message


def test_values_are_kept_where_the_file_says(load: Load, home: Path, tmp_path: Path) -> None:
    (home / "dagster.yaml").write_text(
        f"""
local_artifact_storage:
  module: dagster._core.storage.root
  class: LocalArtifactStorage
  config: {{base_dir: '{tmp_path / "values"}'}}
"""
    )
    execute(load(module="surrounded"), run_request("__ASSET_JOB", assets=["stored"]))
    assert (tmp_path / "values" / "storage" / "stored").exists()


def test_a_loader_of_variables_is_asked_before_the_import(
    load: Load, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_THE_VAULT", "nothing yet")
    (home / "dagster.yaml").write_text("secrets: {custom: {module: vault, class: Vault, config: {}}}\n")
    load(module="surrounded")
    surrounded = sys.modules["surrounded"]
    assert surrounded.FROM_THE_VAULT == "opened"
