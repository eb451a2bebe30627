"""The workspace is what its files say: each member declares itself alike, and the Makefile offers what it lists."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _project(path: Path) -> dict[str, Any]:
    return tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8"))


WORKSPACE = _project(ROOT)
MEMBERS: list[str] = WORKSPACE["tool"]["uv"]["workspace"]["members"]


@pytest.mark.parametrize("member", MEMBERS)
def test_member_is_typed_licensed_and_of_the_common_version(member: str) -> None:
    project = _project(ROOT / member)["project"]
    assert project["version"] == WORKSPACE["project"]["version"]
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == WORKSPACE["project"]["requires-python"]
    assert list((ROOT / member).glob("isthmus*/py.typed"))


@pytest.mark.parametrize("member", MEMBERS)
def test_member_is_installed_with_the_workspace(member: str) -> None:
    name = _project(ROOT / member)["project"]["name"]
    # With or without what it brings besides, as in `isthmus-cli[top]`.
    declared = {re.sub(r"\[.*\]", "", dependency) for dependency in WORKSPACE["project"]["dependencies"]}
    assert f"{name}=={WORKSPACE['project']['version']}" in declared
    assert WORKSPACE["tool"]["uv"]["sources"][name] == {"workspace": True}


@pytest.mark.parametrize("member", MEMBERS)
def test_member_declares_the_members_that_it_imports_in_its_own_version(member: str) -> None:
    project = _project(ROOT / member)["project"]
    version = WORKSPACE["project"]["version"]
    needed = [*project["dependencies"], *chain.from_iterable(project.get("optional-dependencies", {}).values())]
    declared = [dependency for dependency in needed if dependency.startswith("isthmus-")]
    assert [dependency for dependency in declared if not dependency.endswith(f"=={version}")] == []
    own = {path.parent.name for path in (ROOT / member).glob("isthmus*/py.typed")}
    imported = set()
    for path in (ROOT / member).rglob("*.py"):
        for package in re.findall(
            r"^\s*(?:from|import) (isthmus(?:_\w+)?)\b", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            imported |= {package} - own
    names = {"isthmus-protos" if package == "isthmus" else package.replace("_", "-") for package in imported}
    assert names <= {re.split(r"[\[=]", dependency)[0] for dependency in declared}


def test_every_target_that_is_listed_can_be_made() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^  make (\S+)", listed, re.MULTILINE)
    assert {"demo", "test", "lint", "types", "protos", "clean"} <= set(targets)
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, check=True)


def test_licence_is_the_whole_of_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
