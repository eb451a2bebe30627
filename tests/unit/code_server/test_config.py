"""A configuration is read whole or refused with the field at fault."""

import json
from pathlib import Path
from typing import Any

import pytest
from isthmus_code_server.config import read_settings
from isthmus_code_server.errors import ConfigError

VALID: dict[str, Any] = {
    "deployment": "prod",
    "agent": "berlin-1",
    "location": "sales",
    "generation": "3",
    "server": "s",
    "source": {"module": "sales.definitions"},
    "listen": "unix:/run/s.sock",
    "brokerUrl": "amqp://user:secret@localhost/",
    "runsDir": "/var/lib/isthmus/sales/runs",
}


def write(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**VALID, **changes}))
    return path


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path))
    assert (settings.heartbeat_interval_s, settings.cancel_grace_s) == (5.0, 10.0)
    assert settings.generation == 3
    assert settings.source.module == "sales.definitions"
    assert settings.home == Path("/var/lib/isthmus/sales")


@pytest.mark.parametrize("leaves", [True, False])
def test_who_means_it_may_leave_processes(tmp_path: Path, *, leaves: bool) -> None:
    source = {"module": "sales.definitions", "leaveChildren": leaves}
    assert read_settings(write(tmp_path, source=source)).load_order.leaves_children is leaves


def test_the_secret_is_not_in_the_representation(tmp_path: Path) -> None:
    assert "secret" not in repr(read_settings(write(tmp_path)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deployment", "Prod"),
        ("agent", "a.b"),
        ("location", ""),
        ("location", "x" * 64),
        ("listen", ""),
        ("brokerUrl", ""),
        ("runsDir", ""),
        ("source", {}),
    ],
)
def test_a_field_that_cannot_be_used_is_named(tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(write(tmp_path, **{field: value}))
    assert caught.value.field.replace("_", "") == field.lower()


@pytest.mark.parametrize("text", ["", "{", '{"nobody": 1}', '{"generation": "x"}'])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_settings(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        read_settings(tmp_path / "nowhere.json")
