"""Which definitions `isthmus dev` loads, and what it calls them."""

from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import START_METHOD_SPAWN, START_METHOD_UNSPECIFIED
from isthmus_cli.errors import InputError
from isthmus_dev.errors import DevError
from isthmus_dev.target import TargetOptions, resolve_targets


def only(options: TargetOptions, *, folder: Path) -> LocationSettings:
    (location,) = resolve_targets(options, folder=folder).locations
    return location


def test_the_options_come_before_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dagster]\nmodule_name = "other"\n')
    settings = only(TargetOptions(modules=["etl.definitions"], attribute="defs"), folder=tmp_path)
    assert settings.name == "etl"
    assert (settings.source.module, settings.source.attribute) == ("etl.definitions", "defs")
    assert settings.source.working_directory == str(tmp_path)
    assert list(settings.source.env_files) == [str(tmp_path / ".env")]


def test_pyproject_names_module_attribute_and_location(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dagster]\nmodule_name = "etl.definitions"\nattribute = "defs"\ncode_location_name = "Ware House"\n'
    )
    targets = resolve_targets(TargetOptions(), folder=tmp_path)
    (settings,) = targets.locations
    assert targets.origin == tmp_path / "pyproject.toml"
    assert (settings.name, settings.source.module, settings.source.attribute) == (
        "ware-house",
        "etl.definitions",
        "defs",
    )
    assert only(TargetOptions(name="mine"), folder=tmp_path).name == "mine"


def test_files_are_found_from_the_current_folder_and_import_from_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "etl.py").touch()
    (tmp_path / "other.py").touch()
    options = TargetOptions(files=["src/etl.py", "other.py"], working_directory=Path("src"))
    first, second = resolve_targets(options, folder=tmp_path).locations
    assert (first.name, first.source.python_file) == ("etl", str(tmp_path / "src" / "etl.py"))
    assert (second.name, second.source.python_file) == ("other", str(tmp_path / "other.py"))
    assert first.source.working_directory == str(tmp_path / "src")
    assert first.source.current_directory == str(tmp_path)


@pytest.mark.parametrize(
    ("options", "content", "message"),
    [
        (TargetOptions(), None, "no definitions named"),
        (TargetOptions(), "[tool.other]\n", "no workspace.yaml"),
        (TargetOptions(), "[tool", "pyproject.toml cannot be read"),
        (TargetOptions(modules=["a"], files=["b"]), None, "--module and --file exclude each other"),
        (TargetOptions(files=["missing.py"]), None, "missing.py is not there"),
        (TargetOptions(modules=["a"], working_directory=Path("missing")), None, "is not there"),
        (TargetOptions(modules=["a", "b"], name="one"), None, "--name is for one location"),
        (TargetOptions(workspaces=[Path("none.yaml")]), None, "none.yaml cannot be read"),
    ],
)
def test_what_is_unclear_is_an_error_with_a_remedy(
    tmp_path: Path, options: TargetOptions, content: str | None, message: str
) -> None:
    if content:
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises((DevError, InputError), match=message) as caught:
        resolve_targets(options, folder=tmp_path)
    assert isinstance(caught.value, DevError | InputError)
    assert caught.value.remedy


def test_how_runs_begin_is_said_for_all_locations(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text("load_from:\n  - python_module: one\n  - python_module: two\n")
    spawned = resolve_targets(TargetOptions(start=START_METHOD_SPAWN), folder=tmp_path).locations
    assert [location.source.start for location in spawned] == [START_METHOD_SPAWN] * 2
    left_alone = resolve_targets(TargetOptions(), folder=tmp_path).locations
    assert [location.source.start for location in left_alone] == [START_METHOD_UNSPECIFIED] * 2
