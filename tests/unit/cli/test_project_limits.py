"""The limits that a dagster.yaml asks for, by whichever names."""

from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings, RunRetries, RunTimeouts, TagLimit
from isthmus_cli.errors import InputError
from isthmus_cli.project.limits import project_limits

TAGS = """
      - {key: team, limit: 3}
      - {key: database, value: redshift, limit: 4}
      - {key: customer, value: {applyLimitPerUniqueValue: true}, limit: 1}
"""
EXPECTED = [
    TagLimit(key="team", limit=3),
    TagLimit(key="database", value="redshift", limit=4),
    TagLimit(key="customer", per_value=True, limit=1),
]


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("MOST", "7")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"run_coordinator:\n  module: dagster\n  class: QueuedRunCoordinator\n  config:\n    max_concurrent_runs: 25\n    tag_concurrency_limits:{TAGS}",
            QueueSettings(max_runs=25, tags=EXPECTED),
        ),
        (
            f"run_queue:\n    max_concurrent_runs: {{env: MOST}}\n    tag_concurrency_limits:{TAGS}",
            QueueSettings(max_runs=7, tags=EXPECTED),
        ),
        (
            "concurrency: {runs: {max_concurrent_runs: 2}, pools: {default_limit: 1, granularity: run}}",
            QueueSettings(max_runs=2, pools=PoolLimits(default_limit=1)),
        ),
        (
            "concurrency: {pools: {default_limit: 2}}",
            QueueSettings(
                pools=PoolLimits(default_limit=2, granularity=PoolLimits.GRANULARITY_OP),
            ),
        ),
        (
            "concurrency: {pools: {granularity: op, op_granularity_run_buffer: 3}}",
            QueueSettings(pools=PoolLimits(granularity=PoolLimits.GRANULARITY_OP, run_buffer=3)),
        ),
        ("concurrency: {runs: {max_concurrent_runs: -1}}", QueueSettings()),
        (
            "run_retries: {enabled: true, max_retries: {env: MOST}, retry_on_asset_or_op_failure: false}",
            QueueSettings(run_retries=RunRetries(enabled=True, max_retries=7, retry_on_asset_or_op_failure=False)),
        ),
        (
            "run_monitoring: {enabled: true, start_timeout_seconds: 60, max_runtime_seconds: {env: MOST}}",
            QueueSettings(run_timeouts=RunTimeouts(start_s=60, cancel_s=180, max_runtime_s=7)),
        ),
        ("run_retries: {max_retries: 2}", QueueSettings(run_retries=RunRetries(enabled=False, max_retries=2))),
    ],
)
def test_limits_are_taken_over_by_each_of_their_names(tmp_path: Path, text: str, expected: QueueSettings) -> None:
    (tmp_path / "dagster.yaml").write_text(text)
    found = project_limits(tmp_path)
    assert found is not None
    assert (found.settings, found.origin, found.notes) == (expected, tmp_path / "dagster.yaml", ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "telemetry: {enabled: false}\n",
        "- a list\n",
        "a: [",
        "concurrency: 3\n",
        "run_monitoring: {start_timeout_seconds: 9}\n",
    ],
)
def test_a_file_without_limits_changes_none(tmp_path: Path, text: str) -> None:
    assert project_limits(tmp_path) is None
    (tmp_path / "dagster.yaml").write_text(text)
    assert project_limits(tmp_path) is None


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("concurrency: {runs: {tag_concurrency_limits: [{key: a}]}}")
    found = project_limits(tmp_path)
    assert found is not None
    assert [note.partition(":")[0] for note in found.notes] == ["a limit of tags could not be read"]


def test_the_project_s_own_file_comes_before_dagster_s(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("run_queue: {max_concurrent_runs: 2}")
    (tmp_path / "isthmus.yaml").write_text(
        "locations: [{name: etl, module: etl}]\nconcurrency: {max_runs: 7}\nrun_retries: {max_retries: 1}\n"
    )
    found = project_limits(tmp_path)
    assert found is not None
    assert (found.settings.max_runs, found.settings.run_retries.max_retries) == (7, 1)
    assert found.origin == tmp_path / "isthmus.yaml"


def test_a_file_of_the_project_that_limits_nothing_leaves_that_to_dagster_s(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("run_queue: {max_concurrent_runs: 2}")
    (tmp_path / "isthmus.yaml").write_text("locations: [{name: etl, module: etl}]\n")
    found = project_limits(tmp_path)
    assert found is not None
    assert (found.settings.max_runs, found.origin) == (2, tmp_path / "dagster.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("concurency: {max_runs: 1}", "concurency: there is no such field; did you mean concurrency?"),
        ("concurrency: {max_run: 1}", "max_run: there is no such field; did you mean max_runs?"),
        ("settings: {}", "settings: there is no such field; the fields are locations, concurrency, run_retries"),
    ],
)
def test_a_key_that_nobody_knows_is_refused_with_what_was_meant(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "isthmus.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        project_limits(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path / "isthmus.yaml") in str(caught.value)
