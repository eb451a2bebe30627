"""Where the code locations of a project are found, and what they are called."""

from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus_cli.errors import InputError
from isthmus_cli.location_file import LocationEntry
from isthmus_cli.project.find import find_project
from isthmus_cli.project.name import Nameless, choose_names
from isthmus_cli.project.place import Place
from isthmus_cli.project.workspace import read_workspaces


def workspace(folder: Path, text: str) -> list[LocationSettings]:
    (folder / "workspace.yaml").write_text(text)
    return read_workspaces([folder / "workspace.yaml"], place=Place(folder))


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (Nameless("my_project.definitions"), "my_project"),
        (Nameless("src.etl.defs"), "etl"),
        (Nameless("Nightly Jobs.py"), "nightly-jobs"),
        (Nameless("definitions.py", folder=Path("/My Project")), "my-project"),
        (Nameless("_private_"), "private"),
        (Nameless("definitions.py", folder=Path("/___")), "dev"),
        (Nameless("p" * 80), "p" * 63),
        (Nameless("etl", said="Finance & Sales"), "finance-sales"),
    ],
)
def test_a_name_is_derived_that_the_contract_allows(location: Nameless, name: str) -> None:
    assert choose_names([location]) == [name]
    assert LocationEntry(name=name, module="m").name == name


def test_targets_that_would_share_a_name_are_called_by_their_whole_target() -> None:
    locations = [Nameless("etl.grain"), Nameless("etl.flour", attribute="fine"), Nameless("other")]
    assert choose_names(locations) == ["etl-grain", "etl-flour-fine", "other"]


def test_a_workspace_tells_every_kind_of_target(tmp_path: Path) -> None:
    (tmp_path / "east").mkdir()
    (tmp_path / "east" / "definitions.py").touch()
    python = tmp_path / "python"
    python.touch()
    file, module, package, autoload = workspace(
        tmp_path,
        "load_from:\n"
        "- python_file: {relative_path: east/definitions.py, attribute: defs, working_directory: east}\n"
        f"- python_module: {{module_name: etl.defs, executable_path: {python}, location_name: Etl}}\n"
        "- python_package: depot\n"
        "- autoload_defs_module: {module_name: yard.defs}\n",
    )
    assert (file.name, file.source.python_file) == ("east", str(tmp_path / "east" / "definitions.py"))
    assert (file.source.attribute, file.source.working_directory) == ("defs", str(tmp_path / "east"))
    assert (module.name, module.source.module, module.source.python_executable) == ("etl", "etl.defs", str(python))
    assert (package.name, package.source.package) == ("depot", "depot")
    assert (autoload.name, autoload.source.autoload_defs_module) == ("yard", "yard.defs")
    assert {one.source.current_directory for one in (file, module, package, autoload)} == {str(tmp_path)}


def test_values_may_come_from_variables_of_the_environment_and_of_dotenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST", "one")
    (tmp_path / ".env").write_text("SECOND=two\n")
    first, second = workspace(
        tmp_path,
        "load_from:\n- python_module: {module_name: {env: FIRST}}\n- python_module: {module_name: {env: SECOND}}\n",
    )
    assert [first.source.module, second.source.module] == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "workspace.yaml: the file is empty"),
        ("load_from: []", "load_from names no code location"),
        ("load_form: []", "load_form is not known"),
        ("load_from: [etl]", r"load_from\[0\] is a text"),
        ("load_from: [{python_module: a, python_file: b}]", r"load_from\[0\] must have exactly one"),
        ("load_from: [{python_modul: a}]", r"load_from\[0\].python_modul is no kind of target"),
        ("load_from: [{python_module: {module: a}}]", r"load_from\[0\].python_module.module is not known"),
        ("load_from: [{python_module: {attribute: a}}]", r"python_module.module_name is missing"),
        ("load_from: [{python_module: {module_name: 3}}]", r"python_module.module_name is a number"),
        ("load_from: [{python_module: {module_name: {env: NOT_SET}}}]", "names the variable NOT_SET"),
        ("load_from: [{python_module: {module_name: a, working_directory: gone}}]", "working_directory is not there"),
        ("load_from: [{python_module: {module_name: a, executable_path: gone}}]", "executable_path is not there"),
        ("load_from: [{python_file: gone.py}]", r"python_file.relative_path is not there"),
        (
            "load_from: [{grpc_server: {host: localhost, port: 4266}}]",
            r"load_from\[0\].grpc_server names a gRPC server",
        ),
        (
            "load_from:\n- python_module: {module_name: a, location_name: X Y}\n- python_module: {module_name: b, location_name: x-y}",
            r"load_from\[1\] and load_from\[0\] would both be the location x-y",
        ),
        ("load_from: [", "workspace.yaml line 1"),
    ],
)
def test_what_is_wrong_in_a_workspace_is_told_with_file_key_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        workspace(tmp_path, text)
    assert str(tmp_path / "workspace.yaml") in str(caught.value)
    assert caught.value.remedy


def test_tool_dagster_may_list_modules(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dagster]\nmodules = [{ type = "module", name = "a.x" }, { type = "module", name = "b" }]\n'
    )
    project = find_project(tmp_path)
    assert [(one.name, one.source.module) for one in project.locations] == [("a", "a.x"), ("b", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[tool.dagster]\nmodule_name = "a"\nmodules = [{type="module", name="b"}]', "modules stands beside"),
        ('[tool.dagster]\nmodules = [{type="package", name="b"}]', "type is 'package'"),
        ('[tool.dagster]\nmodules = [{type="module"}]', r"tool.dagster.modules\[0\].name is missing"),
        ("[tool.dagster]\nmodule_name = 1", "tool.dagster.module_name is a number"),
        ('[tool.dg]\ndirectory_type = "project"', "tool.dg.project.root_module is missing"),
        ('[tool.dg]\ndirectory_type = "yard"', "tool.dg.directory_type is 'yard'"),
        ('[tool.dg]\ndirectory_type = "workspace"', "tool.dg.workspace.projects names no project"),
        ('[tool.dg.workspace]\nprojects = [{path = "gone"}]', r"workspace.projects\[0\].path leads to no dg project"),
    ],
)
def test_what_is_wrong_in_pyproject_is_told_with_file_key_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        find_project(tmp_path)
    assert str(tmp_path / "pyproject.toml") in str(caught.value)
    assert caught.value.remedy


def test_a_dg_project_is_found_from_a_folder_within_it(tmp_path: Path) -> None:
    (tmp_path / "dg.toml").write_text('directory_type = "project"\n[project]\nroot_module = "shop"\n')
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (location,) = find_project(tmp_path / "src" / "shop").locations
    assert location.source.module == "shop.definitions"
    assert location.source.working_directory == str(tmp_path / "src")
    assert location.source.current_directory == str(tmp_path)


def test_beside_dg_toml_the_dg_table_of_pyproject_is_silent(tmp_path: Path) -> None:
    (tmp_path / "dg.toml").write_text('[project]\nroot_module = "one"\nautoload_defs = true\n')
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "two"\n')
    (location,) = find_project(tmp_path).locations
    assert location.source.autoload_defs_module == "one.defs"


def test_each_project_of_a_dg_workspace_keeps_its_python_and_its_variables(tmp_path: Path) -> None:
    project = tmp_path / "projects" / "north"
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").touch()
    (project / "dg.toml").write_text('[project]\nroot_module = "north"\n')
    (tmp_path / "dg.toml").write_text('[workspace]\nprojects = [{path = "projects/north"}]\n')
    (location,) = find_project(tmp_path).locations
    assert location.name == "north"
    assert location.source.python_executable == str(project / ".venv" / "bin" / "python")
    assert list(location.source.env_files) == [str(tmp_path / ".env"), str(project / ".env")]
