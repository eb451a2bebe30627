"""The console's settings, and what is said of those that cannot be used."""

import pytest
from isthmus_console.settings import ConsoleSettings, load_settings
from isthmus_lifecycle.settings import SettingsError


def test_nothing_needs_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTHMUS_SERVER", raising=False)
    settings = load_settings()
    assert (settings.listen, settings.hosts, settings.deployment) == ("127.0.0.1:7071", (), "default")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ISTHMUS_CONSOLE_LISTEN", "7071"),
        ("ISTHMUS_CONSOLE_LISTEN", "http://127.0.0.1:7071"),
        ("ISTHMUS_CONSOLE_LISTEN", "::1:7071"),
        ("ISTHMUS_CONSOLE_HOSTS", "isthmus.example.com"),
        ("ISTHMUS_CONSOLE_SESSION_DAYS", "0"),
        ("ISTHMUS_DEPLOYMENT", ""),
    ],
)
def test_what_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:7071", "0.0.0.0:80", "localhost:7071"])
def test_addresses_may_be_of_either_kind(listen: str) -> None:
    assert ConsoleSettings(listen=listen).listen == listen
