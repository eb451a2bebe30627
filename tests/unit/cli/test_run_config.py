"""Run config from a file, from text, and from single values."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_cli.errors import InputError
from isthmus_cli.run_config import read_run_config


def read(*assignments: str, file: str | None = None, text: str | None = None) -> object:
    answer = read_run_config(file=file, text=text, assignments=assignments)
    return json.loads(answer) if answer else None


def test_nothing_given_is_no_config() -> None:
    assert read() is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("plain words", "plain words"),
        ("'5'", "5"),
        ("[1, a]", [1, "a"]),
        ('{"a": 1}', {"a": 1}),
        ("2030-01-31", "2030-01-31"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_value_is_read_as_yaml_with_jsons_types(value: str, expected: object) -> None:
    assert read(f"ops.load.config.x={value}") == {"ops": {"load": {"config": {"x": expected}}}}


def test_values_come_on_top_of_the_config() -> None:
    assert read("a.b=2", "c=3", text='{"a": {"b": 1, "z": 0}}') == {"a": {"b": 2, "z": 0}, "c": 3}


def test_a_dot_in_a_key_is_written_with_a_backslash() -> None:
    assert read(r"ops.graph\.op.config=1") == {"ops": {"graph.op": {"config": 1}}}


def test_yaml_and_json_files_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("ops:\n  load:\n    config: {since: 2030-01-31, on: true}\n")
    (tmp_path / "a.json").write_text('{"ops": {"load": {"config": {"since": "2030-01-31", "on": true}}}}')
    yaml, as_json = read(file=str(tmp_path / "a.yaml")), read(file=str(tmp_path / "a.json"))
    assert as_json == {"ops": {"load": {"config": {"since": "2030-01-31", "on": True}}}}
    # YAML 1.1 reads `on` as a boolean, as Dagster's own loader does.
    assert yaml == {"ops": {"load": {"config": {"since": "2030-01-31", "true": True}}}}


def test_an_empty_file_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read(file=str(tmp_path / "empty.yaml")) is None


@pytest.mark.parametrize(
    ("assignments", "text", "message"),
    [
        (("a.b",), None, "--set a.b is no assignment"),
        (("a..b=1",), None, "is no assignment"),
        (("=1",), None, "is no assignment"),
        (("a.b.c=1",), '{"a": {"b": 5}}', "a.b is a value already"),
        (("a=[",), None, "--set a line 1"),
        ((), "[1]", "--config-json is not a mapping"),
        ((), "{", "--config-json line 1"),
    ],
)
def test_a_fault_names_its_option(assignments: tuple[str, ...], text: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(*assignments, text=text)
    assert caught.value.remedy


def test_two_configs_exclude_each_other() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        read(file="a.yaml", text="{}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.yaml cannot be read"):
        read(file=str(tmp_path / "missing.yaml"))


KEYS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(path=st.lists(KEYS, min_size=1, max_size=4), value=VALUES)
def test_any_json_value_can_be_set_at_any_path(path: list[str], value: object) -> None:
    config = read(f"{'.'.join(path)}={json.dumps(value)}")
    for key in path:
        assert isinstance(config, dict)
        config = config[key]
    assert config == value
