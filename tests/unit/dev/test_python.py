"""Which Python a project has, and what that needs to serve it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from isthmus_dev.python.equip import equip
from isthmus_dev.python.errors import PythonNotFoundError, UnfitPythonError
from isthmus_dev.python.find import Interpreter, find_python
from isthmus_dev.python.judge import Equipped, Lacking, Unfit, judge
from isthmus_dev.python.package import Package, code_server_packages
from isthmus_dev.python.probe import PythonFacts, probe
from packaging.requirements import Requirement

ABI = "cpython-311-x86_64-linux-gnu"


def environment_in(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


# ------------------------------------------------------------------------------------------------- which it is


def test_what_is_said_comes_before_what_is_active_and_that_before_the_projects(tmp_path: Path) -> None:
    said, active = environment_in(tmp_path / "said"), environment_in(tmp_path / "active")
    own = environment_in(tmp_path / ".venv")
    variables = {"VIRTUAL_ENV": str(tmp_path / "active")}
    assert find_python("said", folder=tmp_path, environment=variables).path == said
    assert find_python(str(said), folder=tmp_path, environment=variables).path == said
    assert find_python("", folder=tmp_path, environment=variables) == Interpreter(active, "VIRTUAL_ENV")
    assert find_python("", folder=tmp_path, environment={}).path == own


def test_who_activated_the_environment_of_isthmus_chose_nothing_for_the_project(tmp_path: Path) -> None:
    own, variables = environment_in(tmp_path / "project" / ".venv"), {"VIRTUAL_ENV": sys.prefix}
    (tmp_path / ".git").mkdir()
    assert find_python("", folder=tmp_path / "project", environment=variables).path == own
    assert find_python("", folder=tmp_path, environment=variables).is_ours


def test_a_version_means_the_command_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "python3.99"
    command.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_python("3.99", folder=tmp_path / "elsewhere", environment={}).path == command


def test_an_environment_of_conda_counts_unless_it_is_the_base_of_all(tmp_path: Path) -> None:
    python = environment_in(tmp_path / "conda")
    (tmp_path / ".git").mkdir()
    variables = {"CONDA_PREFIX": str(tmp_path / "conda"), "CONDA_DEFAULT_ENV": "sales"}
    assert find_python("", folder=tmp_path, environment=variables).path == python
    base = variables | {"CONDA_DEFAULT_ENV": "base"}
    assert find_python("", folder=tmp_path, environment=base).is_ours


def test_a_member_of_a_workspace_has_the_environment_of_its_root(tmp_path: Path) -> None:
    root = environment_in(tmp_path / "repository" / ".venv")
    (tmp_path / "repository" / ".git").mkdir()
    member = tmp_path / "repository" / "packages" / "sales"
    member.mkdir(parents=True)
    assert find_python("", folder=member, environment={}).path == root
    own = environment_in(member / ".venv")
    assert find_python("", folder=member / "src", environment={}).path == own


def test_an_environment_above_the_repository_is_somebody_elses(tmp_path: Path) -> None:
    environment_in(tmp_path / ".venv")
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    assert find_python("", folder=tmp_path / "repository", environment={}).is_ours


def test_the_interpreter_that_pdm_chose_is_the_projects(tmp_path: Path) -> None:
    python = environment_in(tmp_path / "kept elsewhere")
    (tmp_path / ".pdm-python").write_text(f"{python}\n")
    assert find_python("", folder=tmp_path, environment={}).path == python


def test_poetry_is_asked_for_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = environment_in(tmp_path / "cache")
    poetry = tmp_path / "commands" / "poetry"
    poetry.parent.mkdir()
    poetry.write_text(f'#!/bin/sh\n[ "$*" = "env info --executable" ] && echo "{python}"\n')
    poetry.chmod(0o755)
    monkeypatch.setenv("PATH", f"{poetry.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "poetry.lock").touch()
    assert find_python("", folder=tmp_path, environment={}).path == python


@pytest.mark.parametrize(
    ("said", "variables"), [("nowhere", {}), ("/nowhere/bin/python", {}), ("", {"VIRTUAL_ENV": "/nowhere"})]
)
def test_a_python_that_is_not_there_is_told_with_who_named_it(
    said: str, variables: Mapping[str, str], tmp_path: Path
) -> None:
    with pytest.raises(PythonNotFoundError, match="nowhere") as caught:
        find_python(said, folder=tmp_path, environment=variables)
    assert ("--python" if said else "VIRTUAL_ENV") in str(caught.value)
    assert caught.value.remedy


# ------------------------------------------------------------------------------------------------- what it needs


def package(name: str, version: str, *requires: str, is_portable: bool = True) -> Package:
    return Package(name, version, tuple(map(Requirement, requires)), is_portable=is_portable)


PACKAGES = {
    one.name: one
    for one in (
        package("isthmus-code-server", "1.0", "dagster>=1.10,<2", "isthmus-protos", "aio-pika>=10", "protobuf>=4.25"),
        package("isthmus-protos", "1.0", "protobuf>=4.25.8"),
        package("aio-pika", "10.2", "yarl", "old-only; python_version < '3.10'"),
        package("yarl", "1.25", is_portable=False),
        package("protobuf", "6.0", is_portable=False),
    )
}


def facts(version: str = "3.11.7", *, abi: str = ABI, **versions: str) -> PythonFacts:
    return PythonFacts(version, abi, {name.replace("_", "-"): number for name, number in versions.items()})


def test_an_interpreter_with_a_code_server_is_left_as_it_is() -> None:
    assert judge(facts(dagster="1.10", isthmus_code_server="0.9"), PACKAGES, abi=ABI) == Equipped("0.9")


def test_only_what_an_interpreter_lacks_is_lent() -> None:
    verdict = judge(facts(dagster="1.10", protobuf="5.29"), PACKAGES, abi=ABI)
    assert isinstance(verdict, Lacking)
    assert {one.name for one in verdict.lent} == {"isthmus-code-server", "isthmus-protos", "aio-pika", "yarl"}
    assert verdict.fetched == ()


def test_what_is_compiled_for_another_python_is_fetched_for_this_one() -> None:
    verdict = judge(facts("3.13.0", abi="cpython-313", dagster="1.12", protobuf="6"), PACKAGES, abi=ABI)
    assert isinstance(verdict, Lacking)
    assert {one.name for one in verdict.lent} == {"isthmus-code-server", "isthmus-protos", "aio-pika"}
    assert verdict.fetched == ("yarl==1.25",)


@pytest.mark.parametrize(
    ("python", "problem", "wanted"),
    [
        (facts("3.10.13", dagster="1.10"), "is Python 3.10.13", ()),
        (facts(), "has no dagster", ("dagster",)),
        (facts(dagster="1.9.3"), "has dagster 1.9.3", ("dagster<2,>=1.10",)),
        (facts(dagster="1.10", protobuf="3.20"), "has protobuf 3.20", ("protobuf>=4.25.8",)),
        (facts(dagster="1.10", isthmus_protos="0.9"), "has isthmus-protos 0.9", ("isthmus-protos==1.0",)),
    ],
)
def test_an_interpreter_that_cannot_serve_is_told_why(
    python: PythonFacts, problem: str, wanted: tuple[str, ...]
) -> None:
    verdict = judge(python, PACKAGES, abi=ABI)
    assert isinstance(verdict, Unfit)
    assert problem in verdict.problem
    assert verdict.wanted == wanted


def test_our_own_installation_names_all_that_a_code_server_needs() -> None:
    packages = code_server_packages()
    assert {"isthmus-code-server", "isthmus-broker", "isthmus-protos", "aio-pika", "yarl"} <= packages.keys()
    assert "dagster" not in packages
    assert all(path.exists() for one in packages.values() for path in one.entries.values())


def test_an_interpreter_tells_its_version_and_what_it_has() -> None:
    told = probe(Path(sys.executable), names=["dagster", "no-such-distribution"])
    assert told.version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert told.versions.keys() == {"dagster"}


def test_a_file_that_is_no_python_is_told(tmp_path: Path) -> None:
    false = tmp_path / "python"
    false.write_text("#!/bin/sh\necho no such luck >&2; exit 3\n")
    false.chmod(0o755)
    with pytest.raises(UnfitPythonError, match="no such luck"):
        probe(false, names=[])


def test_an_environment_without_dagster_is_refused_with_the_line_that_mends_it(tmp_path: Path) -> None:
    environment_in(tmp_path / "bare")
    (tmp_path / "bare" / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    from isthmus.v1.control_plane_pb2 import LocationSettings

    python = tmp_path / "bare" / "bin" / "python"
    with pytest.raises(UnfitPythonError, match="has no dagster") as caught:
        equip([LocationSettings(name="sales")], chosen=Interpreter(python, "VIRTUAL_ENV"), folder=tmp_path / "lent")
    assert f"{python}" in caught.value.remedy
    assert "install" in caught.value.remedy
