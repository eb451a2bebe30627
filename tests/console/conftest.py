"""The token that console and control plane share here."""

import pytest
from console.console_stand import TOKEN


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_API_TOKEN", TOKEN)
