"""Which control planes are on this machine: they are called past every proxy."""

import pytest
from isthmus_client.channel import is_on_this_machine


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("127.0.0.1:7070", True),
        ("127.8.9.10:7070", True),
        ("localhost:7070", True),
        ("localhost", True),
        ("isthmus.localhost:7070", True),
        ("[::1]:7070", True),
        ("dns:///localhost:7070", True),
        ("dns:127.0.0.1:7070", True),
        ("0.0.0.0:7070", True),
        ("[::]:7070", True),
        ("10.0.0.7:7070", False),
        ("[2001:db8::1]:7070", False),
        ("isthmus.example:443", False),
        ("localhost.example:443", False),
        ("unix:///run/isthmus.sock", False),
        ("", False),
    ],
)
def test_the_loopback_interface_is_this_machine(address: str, *, is_here: bool) -> None:
    assert is_on_this_machine(address) is is_here
