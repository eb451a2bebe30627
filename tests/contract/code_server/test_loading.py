"""Loading finds what `dagster dev` finds, in every form in which a source can be named."""

import socket
import sys
from pathlib import Path
from uuid import uuid4

import dagster
import pytest
from isthmus_code_server.definitions.instance_address import ADDRESS_VARIABLE
from isthmus_code_server.definitions.port import Definitions
from isthmus_code_server.errors import DefinitionsLoadError
from support_code_server import PROJECTS, Load, execute, run_request


def asset_names(definitions: Definitions) -> list[str]:
    return ["/".join(asset.key.path) for asset in definitions.describe().assets]


@pytest.mark.parametrize(
    ("source", "asset"),
    [
        ({"module": "only_assets"}, "lonely"),
        ({"python_file": str(PROJECTS / "only_assets.py")}, "lonely"),
        ({"python_file": "only_assets.py"}, "lonely"),
        ({"package": "apackage"}, "part"),
        ({"module": "apackage"}, "part"),
        ({"package": "apackage", "attribute": "defs"}, "part"),
        ({"module": "a_repository"}, "kept"),
        ({"module": "a_repository", "attribute": "shelf"}, "kept"),
        ({"module": "a_repository", "attribute": "make_definitions"}, "kept"),
        ({"python_file": "a_repository.py", "attribute": "make_definitions"}, "kept"),
    ],
    ids=str,
)
def test_definitions_are_found(load: Load, source: dict[str, str], asset: str) -> None:
    assert asset_names(load(**source)) == [asset]


def test_loading_and_warming_up_ask_nobody(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"isthmus-test-{uuid4().hex}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gate:
        gate.bind(f"\0{name}")
        gate.listen()
        gate.setblocking(False)
        monkeypatch.setenv(ADDRESS_VARIABLE, f"@{name}")
        load(module="one_job").warm_up()
        # A control plane that is away, or slow, makes no project wait.
        with pytest.raises(BlockingIOError):
            gate.accept()


def test_a_single_job_is_definitions_enough(load: Load) -> None:
    assert [job.name for job in load(module="one_job").describe().jobs] == ["only_job"]


def test_one_of_two_jobs_can_be_named(load: Load) -> None:
    assert [job.name for job in load(module="two_jobs", attribute="second").describe().jobs] == ["second"]


@pytest.mark.skipif(not hasattr(dagster, "definitions"), reason="this Dagster has no lazy definitions yet")
def test_lazy_definitions_are_made(load: Load) -> None:
    assert asset_names(load(module="lazy")) == ["made_late"]


def test_the_working_directory_stays_importable_when_ops_run(load: Load) -> None:
    definitions = load(package="apackage")
    events = execute(definitions, run_request("__ASSET_JOB", assets=["part"]))
    assert events[-1].HasField("run_succeeded"), events[-1]


@pytest.mark.parametrize(
    ("source", "error_class", "words"),
    [
        ({"module": "two_jobs"}, "DagsterInvariantViolationError", "more than one job"),
        ({"module": "nothing"}, "DagsterInvariantViolationError", "No Definitions"),
        ({"module": "one_job", "attribute": "missing"}, "DagsterInvariantViolationError", "missing"),
        ({"module": "late", "attribute": "VALUE"}, "DagsterInvariantViolationError", "not something that Dagster"),
        ({"module": "no_such_module"}, "DagsterImportError", "no_such_module"),
        ({"python_file": "no_such_file.py"}, "FileNotFoundError", "no_such_file"),
        ({"module": "broken"}, "RuntimeError", "the project is broken"),
        ({"module": "quits"}, "SystemExit", "3"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_is_told_with_its_exception(
    load: Load, source: dict[str, str], error_class: str, words: str
) -> None:
    with pytest.raises(DefinitionsLoadError) as caught:
        load(**source)
    assert caught.value.failure.error_class == error_class
    assert words in caught.value.failure.message
    assert caught.value.failure.stack


def test_a_load_failure_keeps_its_cause_and_its_place(load: Load) -> None:
    with pytest.raises(DefinitionsLoadError) as caught:
        load(module="broken")
    failure = caught.value.failure
    assert failure.cause.error_class == "KeyError"
    assert any("broken.py" in frame for frame in failure.stack)


def test_a_module_that_is_missing_is_told_with_the_python_that_lacks_it(load: Load) -> None:
    with pytest.raises(DefinitionsLoadError) as caught:
        load(module="no_such_module.definitions")
    assert f"{sys.executable} has no module no_such_module" in caught.value.failure.description


def test_a_module_that_lies_in_src_is_found_for_who_did_not_name_that_folder(load: Load, tmp_path: Path) -> None:
    (tmp_path / "src" / "acme").mkdir(parents=True)
    with pytest.raises(DefinitionsLoadError) as caught:
        load(module="acme.definitions", working_directory=str(tmp_path))
    assert f"It lies in {tmp_path}/src: name that folder" in caught.value.failure.description


def test_a_module_that_ends_its_interpreter_is_told_with_its_exit_code(load: Load) -> None:
    with pytest.raises(DefinitionsLoadError) as caught:
        load(module="quits")
    assert "with exit code 3" in caught.value.failure.description
