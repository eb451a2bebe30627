"""Settings come from the environment, and a wrong one is named."""

from pathlib import Path

import pytest
from isthmus_agent.settings import AgentSettings, load_settings
from isthmus_lifecycle.settings import SettingsError
from pydantic import SecretStr


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_AGENT_NAME", "edge")
    monkeypatch.setenv("ISTHMUS_AGENT_DATA_DIR", "/var/lib/isthmus")
    monkeypatch.setenv("ISTHMUS_BROKER_URL", "amqp://edge:secret@broker/")


def test_what_is_not_set_has_a_default() -> None:
    settings = load_settings()
    assert settings.name == "edge"
    assert settings.deployment == "default"
    assert settings.folder == Path("/var/lib/isthmus")
    assert settings.server_broker_url == "amqp://edge:secret@broker/"
    assert not settings.stops_servers_on_exit


def test_agents_without_a_folder_have_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTHMUS_AGENT_DATA_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert load_settings().folder == Path("/state/isthmus/default.edge")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/user")
    assert load_settings().folder == Path("/home/user/.local/state/isthmus/default.edge")


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(load_settings())


def test_code_servers_may_have_an_account_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_AGENT_CODE_SERVER_BROKER_URL", "amqp://code:other@broker/")
    assert load_settings().server_broker_url == "amqp://code:other@broker/"


def test_whoever_embeds_the_agent_gives_values_by_name() -> None:
    settings = AgentSettings(name="dev", data_dir=Path("/tmp/x"), broker_url=SecretStr("amqp://here/"))
    assert settings.broker_url.get_secret_value() == "amqp://here/"


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("ISTHMUS_AGENT_NAME", None, "not set"),
        ("ISTHMUS_BROKER_URL", None, "not set"),
        ("ISTHMUS_AGENT_NAME", "Edge.One", "small letters"),
        ("ISTHMUS_AGENT_DEPLOYMENT", "-x", "small letters"),
        ("ISTHMUS_AGENT_PREFETCH", "0", "greater than or equal to 1"),
        ("ISTHMUS_AGENT_HEARTBEAT_S", "soon", "valid number"),
        ("ISTHMUS_AGENT_HOST", "podman", "process"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, problem: str
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=problem) as caught:
        load_settings()
    assert variable in caught.value.faults
    assert "secret" not in str(caught.value)
