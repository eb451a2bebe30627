"""What the environment must say, and what is said when it does not."""

import pytest
from isthmus_control_plane.settings import ControlPlaneSettings, load_settings
from isthmus_lifecycle.settings import SettingsError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ISTHMUS_BROKER_URL", "ISTHMUS_DATABASE_URL", "ISTHMUS_CONTROL_PLANE_LISTEN"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_what_is_missing_is_named_with_what_to_do() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "ISTHMUS_BROKER_URL is not set: set it to RabbitMQ's address, as in amqp://" in str(refused.value)
    assert "ISTHMUS_DATABASE_URL is not set: set it to the database, as in sqlite:" in str(refused.value)


def test_a_wrong_value_is_named_by_its_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ISTHMUS_BROKER_URL", "amqp://localhost")
    environment.setenv("ISTHMUS_DATABASE_URL", "sqlite:///x.db")
    environment.setenv("ISTHMUS_CONTROL_PLANE_LAUNCH_TIMEOUT_S", "soon")
    with pytest.raises(SettingsError, match="ISTHMUS_CONTROL_PLANE_LAUNCH_TIMEOUT_S is not usable"):
        load_settings()


def test_variables_and_names_say_the_same(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ISTHMUS_BROKER_URL", "amqp://localhost")
    environment.setenv("ISTHMUS_DATABASE_URL", "sqlite:///x.db")
    environment.setenv("ISTHMUS_CONTROL_PLANE_LISTEN", "0.0.0.0:1")
    built = ControlPlaneSettings(broker_url="amqp://localhost", database_url="sqlite:///x.db", listen="0.0.0.0:1")
    assert load_settings() == built


def test_secrets_are_not_shown() -> None:
    settings = ControlPlaneSettings(broker_url="amqp://u:secret@h", database_url="postgresql://u:secret@h/d")
    assert "secret" not in repr(settings)
