"""Alerts leave a company by its proxy, and reach what is inside without it."""

import os

import pytest
from isthmus_monitor.way import proxy_of

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://hooks.example/a", {}, None),
        ("https://hooks.example/a", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://hooks.example/a", {"https_proxy": PROXY}, PROXY),
        ("https://hooks.example/a", {"ALL_PROXY": PROXY}, PROXY),
        ("https://hooks.example/a", {"HTTP_PROXY": PROXY}, None),
        ("http://hooks.example/a", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://hooks.example/a", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https://hooks.example/a", {"HTTPS_PROXY": "socks5://proxy.example:1080"}, None),
        ("https://hooks.inside.example/a", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".inside.example"}, None),
        ("https://hooks.example/a", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("http://localhost:9000/a", {"ALL_PROXY": PROXY}, None),
        ("http://127.0.0.1:9000/a", {"ALL_PROXY": PROXY}, None),
        ("http://[::1]:9000/a", {"ALL_PROXY": PROXY}, None),
    ],
)
def test_the_way_to_a_receiver(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy
