"""What the pages show as files is accepted by whoever reads such files."""

import re
import tomllib
from pathlib import Path

import pytest
from isthmus_agent.policy.judge import Policy
from isthmus_cli.location_file import read_location_file
from support.walkthrough import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> dict[str, str]:
    """The pages' blocks in a language, by their page and place in it."""
    opening = rf"^ *```{language}(?: title=\"[^\"]*\")?\n(.*?)^ *```$"
    return {
        f"{page.name}-{number}": block
        for page in PAGES
        for number, block in enumerate(
            re.findall(opening, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL), 1
        )
    }


LOCATIONS = {
    name: text
    for name, text in blocks("yaml").items()
    if re.search(r"^ *- name:", text, re.MULTILINE) and "policies:" not in text
}
POLICIES = {name: text for name, text in blocks("toml").items() if "[tool." not in text}


@pytest.mark.parametrize("name", LOCATIONS)
def test_files_of_locations_are_accepted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variables in re.findall(r"^variables: \[(.*)\]$", LOCATIONS[name], re.MULTILINE):
        for variable in variables.split(", "):
            monkeypatch.setenv(variable, "1.4")
    (tmp_path / "locations.yaml").write_text(LOCATIONS[name])
    assert read_location_file(tmp_path / "locations.yaml")


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_accepted(name: str) -> None:
    assert Policy.model_validate(tomllib.loads(POLICIES[name])).model_fields_set
