"""What the code server makes of each kind of source; runs on every version of Dagster that is supported."""

from importlib.metadata import version
from typing import Any

import pytest
from contract.loading.load import PROJECTS, load_all
from isthmus_code_server.definitions.source import DefinitionsSource

HAS_AUTOLOAD = tuple(int(part) for part in version("dagster").split(".")[:2]) >= (1, 11)


@pytest.fixture(scope="module")
def env_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("env")
    texts = {
        "first": "# of the mill\nBASE=wind\nMILL_NAME='${BASE} mill'\n",
        "second": 'export MILL_NAME="water mill"\n',
        "wrong": "GOOD=1\n= no name\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in (*texts, "missing")}


def mill(*files: str) -> DefinitionsSource:
    return DefinitionsSource(
        module="mill.grain", working_directory=str(PROJECTS / "tool_dagster"), env_files=list(files)
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, env_files: dict[str, str]) -> dict[str, Any]:
    several = str(PROJECTS / "several")
    sources = {
        "repositories": DefinitionsSource(module="repositories", working_directory=several),
        "one of them": DefinitionsSource(module="repositories", attribute="sales", working_directory=several),
        "defs folder": DefinitionsSource(
            autoload_defs_module="yard.defs", working_directory=str(PROJECTS / "dg_autoload")
        ),
        "one env file": mill(env_files["first"]),
        "two env files": mill(env_files["first"], env_files["second"]),
        "missing env file": mill(env_files["missing"]),
        "wrong env file": mill(env_files["wrong"]),
    }
    answers = load_all(list(sources.values()), home=tmp_path_factory.mktemp("home"))
    return dict(zip(sources, answers, strict=True))


def test_repositories_of_a_module_make_one_location_and_names_that_clash_are_told_apart(told: dict[str, Any]) -> None:
    location = told["repositories"]
    assert location["jobs"] == ["finance.nightly", "only_in_finance", "sales.nightly"]
    assert location["implicit_jobs"] == ["finance.__ASSET_JOB", "sales.__ASSET_JOB"]
    assert list(location["assets"]) == ["ledger", "orders"]
    assert location["schedules"] == {"nightly_schedule": "finance.nightly"}


def test_the_attribute_picks_one_repository(told: dict[str, Any]) -> None:
    assert told["one of them"]["jobs"] == ["nightly"]
    assert list(told["one of them"]["assets"]) == ["orders"]


def test_variables_come_from_files_the_later_over_the_earlier(told: dict[str, Any]) -> None:
    kinds = ("one env file", "two env files", "missing env file")
    assert [told[kind]["assets"]["grain"] for kind in kinds] == ["wind mill", "water mill", "nameless"]


def test_a_file_of_variables_that_is_wrong_is_told_with_its_line(
    told: dict[str, Any], env_files: dict[str, str]
) -> None:
    assert f"line 2 of {env_files['wrong']} is no assignment" in told["wrong env file"]["error"]


def test_a_defs_folder_is_loaded_by_itself_or_said_to_need_a_newer_dagster(told: dict[str, Any]) -> None:
    if HAS_AUTOLOAD:
        assert list(told["defs folder"]["assets"]) == ["planks"]
    else:
        assert told["defs folder"]["error"].startswith("DagsterTooOldError: autoload_defs_module needs Dagster 1.11")
