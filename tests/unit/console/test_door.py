"""Proofs that open the console, and names by which it is called."""

import pytest
from isthmus_console.door.host import is_allowed
from isthmus_console.door.session import TICKET_LIFETIME_S, Signer, Tickets

NOW = 1_900_000_000.0
SIGNER = Signer("a-token-of-sixteen")


def test_a_proof_is_good_for_its_purpose_and_its_time_alone() -> None:
    ticket, session = SIGNER.ticket(now_s=NOW), SIGNER.session(now_s=NOW, days=2)
    assert SIGNER.ticket_key(ticket, now_s=NOW)
    assert SIGNER.read_session(session, now_s=NOW)
    assert SIGNER.read_session(ticket, now_s=NOW) is None
    assert SIGNER.ticket_key(session, now_s=NOW) is None
    assert SIGNER.ticket_key(ticket, now_s=NOW + TICKET_LIFETIME_S) is None
    assert SIGNER.read_session(session, now_s=NOW + 2 * 86400) is None


def test_another_token_ends_every_session() -> None:
    session = SIGNER.session(now_s=NOW, days=1)
    assert Signer("another-token-of-some").read_session(session, now_s=NOW) is None


def test_forms_of_two_sessions_carry_different_proofs() -> None:
    found = [SIGNER.read_session(SIGNER.session(now_s=NOW, days=1), now_s=NOW) for _ in range(2)]
    assert len({session.form_token for session in found if session}) == 2


@pytest.mark.parametrize("place", range(0, 98, 7))
def test_no_character_of_a_proof_can_be_changed(place: int) -> None:
    session = SIGNER.session(now_s=NOW, days=1)
    changed = session[:place] + ("A" if session[place] != "A" else "B") + session[place + 1 :]
    assert SIGNER.read_session(changed, now_s=NOW) is None


@pytest.mark.parametrize("nonsense", ["", ".", "..", "a.b.c", "é.1.x", "1." * 1000])
def test_nonsense_is_no_proof(nonsense: str) -> None:
    assert SIGNER.read_session(nonsense, now_s=NOW) is None


def test_the_token_alone_is_the_token() -> None:
    assert SIGNER.is_token(" a-token-of-sixteen\n")
    assert not any(map(SIGNER.is_token, ["", "a-token-of-sixtee", "A-token-of-sixteen", "é"]))


def test_a_ticket_is_used_once_and_forgotten_when_it_is_too_old_anyway() -> None:
    tickets = Tickets()
    assert tickets.use("a", now_s=NOW)
    assert not tickets.use("a", now_s=NOW + 1)
    assert tickets.use("b", now_s=NOW + TICKET_LIFETIME_S + 1)
    assert tickets.use("a", now_s=NOW + TICKET_LIFETIME_S + 1)


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:7071", True),
        ("127.3.2.1", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("[::1]:7071", True),
        ("::1", True),
        ("isthmus.example.com:443", True),
        ("example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("0.0.0.0:7071", False),
        ("", False),
        ("[", False),
        ("127.0.0.1:7071:1", False),
    ],
)
def test_names_of_this_machine_and_those_that_are_set_are_the_consoles(host: str, *, is_own: bool) -> None:
    assert is_allowed(host, hosts=("Isthmus.example.com",)) is is_own
