"""How-tos: what they have the reader type works, and what may go wrong is told of."""

import re
from pathlib import Path

import pytest
from docs_pages.errors import errors_page, known_errors
from docs_pages.remedy import REMEDIES, tells_what_to_do
from isthmus.v1.telemetry_pb2 import RunReason
from support.walkthrough import ROOT, environment, steps_in, walk


@pytest.mark.timeout(300)
def test_the_flow_that_was_written_anew_runs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    env = environment(PATH=f"{ROOT}/.venv/bin:/usr/bin:/bin", VIRTUAL_ENV=f"{ROOT}/.venv")
    walk(steps_in("docs/from-prefect.md"), home=home, replacing={"isthmus dev": "isthmus dev --port 0"}, env=env)


def test_troubleshooting_tells_what_to_do_about_every_reason() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    assert told == {name.removeprefix("RUN_REASON_") for name in RunReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - no mapping


def test_every_error_has_a_meaning_and_stands_on_the_page_of_errors() -> None:
    errors, page = known_errors(), errors_page()
    declared: set[str] = set()
    for path in [*ROOT.glob("*/isthmus_*/**/errors.py"), *ROOT.glob("services/*/isthmus_*/**/errors.py")]:
        classes = re.findall(r"^class (\w+Error)\(([^)]*)\)", path.read_text(encoding="utf-8"), re.MULTILINE)
        above = {base for _, bases in classes for base in re.findall(r"\w+", bases)}
        declared |= {name for name, _ in classes} - above
    assert len(declared) > 50
    assert declared <= {error.name for error in errors}
    assert [error for error in errors if not error.meaning or f"### {error.name} " not in page] == []


def test_every_error_is_told_with_what_to_do_about_it() -> None:
    left_alone = [
        f"{error.room}.{error.name}"
        for error in known_errors()
        if not error.remedy and not any(map(tells_what_to_do, error.messages))
    ]
    assert left_alone == []


def test_remedies_are_for_errors_that_there_are() -> None:
    assert set(REMEDIES) - {f"{error.room}.{error.name}" for error in known_errors()} == set()
