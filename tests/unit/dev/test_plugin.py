"""Which of RabbitMQ's applications a private node gets."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from isthmus_dev.rabbitmq.plugin import closure, link_applications, needed_applications

_NAMES = st.sampled_from("abcdef")


def _application(installed: Path, name: str, *, needs: str) -> Path:
    folder = installed / f"{name}-1.0"
    (folder / "ebin").mkdir(parents=True)
    text = f"{{application, {name}, [\n {{modules, ['{name}']}},\n {{applications, [{needs}]}}, {{env, []}}]}}."
    (folder / "ebin" / f"{name}.app").write_text(text)
    return folder


def test_needed_are_what_is_enabled_and_all_that_it_needs_however_indirectly(tmp_path: Path) -> None:
    exchange = _application(tmp_path, "rabbitmq_consistent_hash_exchange", needs="kernel,stdlib,\n   rabbit")
    rabbit = _application(tmp_path, "rabbit", needs="kernel, ranch")
    ranch = _application(tmp_path, "ranch", needs="ssl")
    _application(tmp_path, "rabbitmq_management", needs="rabbit, cowboy")
    assert {*needed_applications(tmp_path)} == {exchange, rabbit, ranch}


def test_nothing_is_chosen_where_the_installation_is_packed_in_another_way(tmp_path: Path) -> None:
    (tmp_path / "rabbitmq_consistent_hash_exchange-1.0.ez").write_bytes(b"")
    assert needed_applications(tmp_path) == ()
    (tmp_path / "rabbit-1.0").mkdir()
    assert needed_applications(tmp_path) == ()
    assert needed_applications(tmp_path / "missing") == ()


def test_links_follow_an_installation_that_was_replaced(tmp_path: Path) -> None:
    old = [_application(tmp_path / "old", name, needs="") for name in ("rabbit", "ranch")]
    new = [_application(tmp_path / "new", name, needs="") for name in ("rabbit", "khepri")]
    for applications in (old, new, new):
        link_applications(tmp_path / "links", applications)
        assert {link.resolve() for link in (tmp_path / "links").iterdir()} == {*applications}
    link_applications(tmp_path / "links", ())
    assert not any((tmp_path / "links").iterdir())


@given(st.dictionaries(_NAMES, st.frozensets(_NAMES)), st.frozensets(_NAMES))
def test_closure_is_closed_and_has_nothing_that_nobody_needs(
    needs: dict[str, frozenset[str]], names: frozenset[str]
) -> None:
    found = closure(names, needs)
    assert found >= names & needs.keys()
    assert all(needs[name] & needs.keys() <= found for name in found)
    for name in found - names:
        assert any(name in needs[other] for other in found - {name})
