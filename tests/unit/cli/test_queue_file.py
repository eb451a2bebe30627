"""The document of the queue's limits: what it may say, and what is said of faults."""

from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings, RunRetries, RunTimeouts, TagLimit
from isthmus_cli.errors import InputError
from isthmus_cli.queue_file import parse_document, read_queue_file, settings_document

WHOLE = """
concurrency:
  max_runs: 25
  locations: {etl: 5}
  tags:
    - {key: team, limit: 3}
    - {key: database, value: redshift, limit: 4}
    - {key: customer, per_value: true, limit: 1}
    - {key: year, value: 2026, limit: 0}
  pools:
    default_limit: 2
    limits: {snowflake: 3}
"""


def test_a_document_says_all_that_can_be_limited(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(WHOLE)
    expected = QueueSettings(
        max_runs=25,
        locations={"etl": 5},
        tags=[
            TagLimit(key="team", limit=3),
            TagLimit(key="database", value="redshift", limit=4),
            TagLimit(key="customer", per_value=True, limit=1),
            TagLimit(key="year", value="2026", limit=0),
        ],
        pools=PoolLimits(default_limit=2, limits={"snowflake": 3}),
    )
    assert read_queue_file(file) == expected
    assert parse_document(settings_document(expected), origin="again") == expected


def test_a_document_says_what_is_done_again(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(
        "run_retries: {max_retries: 2, retry_on_asset_or_op_failure: false, by_class: {worker: 5}, backoff_s: 1.5}\n"
        "run_timeouts: {start_s: 60, max_runtime_s: 3600}"
    )
    expected = QueueSettings(
        run_retries=RunRetries(
            max_retries=2, retry_on_asset_or_op_failure=False, by_class={"worker": 5}, backoff_s=1.5
        ),
        run_timeouts=RunTimeouts(start_s=60, max_runtime_s=3600),
        pools=PoolLimits(),
    )
    assert read_queue_file(file) == expected
    assert parse_document(settings_document(expected), origin="again") == expected


def test_an_empty_document_limits_nothing(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("concurrency:\n")
    assert not read_queue_file(file).HasField("max_runs")
    assert settings_document(read_queue_file(file)) == {"concurrency": {}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("max_run: 3", "max_run: there is no such field; did you mean max_runs?"),
        ("tags: [{key: a, limits: 3}]", "tags[0].limits: there is no such field; did you mean limit?"),
        ("pools: {limit: {a: 1}}", "pools.limit: there is no such field; did you mean limits?"),
        ("max_runs: -1", "max_runs: Input should be greater than or equal to 0"),
        ("max_runs: many", "max_runs: Input should be a valid integer"),
        ("tags: [{key: a}]", "tags[0].limit: is missing"),
        ("colour: red", "colour: there is no such field; the fields are max_runs, locations, tags, pools"),
        ("run_retries: {max_retry: 1}", "run_retries.max_retry: there is no such field; did you mean max_retries?"),
        ("run_retries: {by_class: {steps: 1}}", "run_retries.by_class.steps.[key]: Input should be 'step'"),
        ("run_retries: {max_retries: 1}\nconcurency: {}", "did you mean concurrency?"),
        ("[1]", "as a whole: Input should be"),
    ],
)
def test_a_fault_is_told_with_its_place_and_a_near_name(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read_queue_file(file)
    assert fault in str(refused.value)
