"""Which definitions `isthmus dev` loads, and what it calls them."""

from pathlib import Path

import pytest
from isthmus_cli.location_file import LocationEntry
from isthmus_dev.errors import TargetError
from isthmus_dev.target import TargetOptions, location_name, resolve_target


def test_the_options_come_before_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dagster]\nmodule_name = "other"\n')
    settings = resolve_target(TargetOptions(module="etl.definitions", attribute="defs"), folder=tmp_path)
    assert settings.name == "etl"
    assert (settings.source.module, settings.source.attribute) == ("etl.definitions", "defs")
    assert settings.source.working_directory == str(tmp_path)


def test_pyproject_names_module_attribute_and_location(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dagster]\nmodule_name = "etl.definitions"\nattribute = "defs"\ncode_location_name = "warehouse"\n'
    )
    settings = resolve_target(TargetOptions(), folder=tmp_path)
    assert (settings.name, settings.source.module, settings.source.attribute) == (
        "warehouse",
        "etl.definitions",
        "defs",
    )
    assert resolve_target(TargetOptions(name="mine"), folder=tmp_path).name == "mine"


def test_a_file_is_found_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "etl.py").touch()
    settings = resolve_target(TargetOptions(file="etl.py"), folder=tmp_path)
    assert (settings.name, settings.source.python_file) == ("etl", str(tmp_path / "etl.py"))


@pytest.mark.parametrize(
    ("options", "content", "message"),
    [
        (TargetOptions(), None, "no definitions named, and no"),
        (TargetOptions(), "[tool.other]\n", "has no .tool.dagster. module_name"),
        (TargetOptions(), "[tool", "cannot be read"),
        (TargetOptions(module="a", file="b"), None, "exclude each other"),
        (TargetOptions(file="missing.py"), None, "is not there"),
    ],
)
def test_what_is_unclear_is_an_error_with_a_remedy(
    tmp_path: Path, options: TargetOptions, content: str | None, message: str
) -> None:
    if content:
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(TargetError, match=message) as caught:
        resolve_target(options, folder=tmp_path)
    assert caught.value.remedy


def test_a_working_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="is not there"):
        resolve_target(TargetOptions(module="a"), folder=tmp_path / "missing")


@pytest.mark.parametrize(
    ("options", "folder", "name"),
    [
        (TargetOptions(module="my_project.definitions"), "x", "my_project"),
        (TargetOptions(module="src.etl.defs"), "x", "etl"),
        (TargetOptions(file="a/b/Nightly Jobs.py"), "x", "nightly-jobs"),
        (TargetOptions(file="definitions.py"), "My Project", "my-project"),
        (TargetOptions(package="_private_"), "x", "private"),
        (TargetOptions(file="definitions.py"), "___", "dev"),
        (TargetOptions(package="p" * 80), "x", "p" * 63),
    ],
)
def test_a_name_is_derived_that_the_contract_allows(options: TargetOptions, folder: str, name: str) -> None:
    assert location_name(options, folder=Path("/") / folder) == name
    assert LocationEntry(name=name, module="m").name == name
