"""What the agent's owner allows."""

from pathlib import Path

import pytest
from isthmus_agent.desired.location import LocationSpec
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.errors import PolicyFileError
from isthmus_agent.policy.judge import Policy, judge, load_policy
from isthmus_agent.policy.verdict import Allowed, Refused


def spec(
    *,
    python: str = "",
    folder: str = "",
    file: str = "",
    env: tuple[tuple[str, str], ...] = (),
    current: str = "",
    env_file: str = "",
) -> LocationSpec:
    kind, target = (TargetKind.PYTHON_FILE, file) if file else (TargetKind.MODULE, "definitions")
    source = CodeSource(
        kind,
        target,
        working_directory=folder,
        python_executable=python,
        current_directory=current,
        env_files=(env_file,) if env_file else (),
    )
    return LocationSpec("sales", 1, source, env=env)


OPEN = Policy()
PYTHONS = Policy(python_executables=(Path("/opt/venv/bin/python"),))
FOLDERS = Policy(working_directories=(Path("/srv/code"),))
NAMES = Policy(env_names=("DATA_*", "REGION"))


@pytest.mark.parametrize(
    ("policy", "wanted", "rule"),
    [
        (OPEN, spec(python="/any/python", folder="/any", env=(("ANY", "1"),)), None),
        (PYTHONS, spec(), None),
        (PYTHONS, spec(python="/opt/venv/bin/python"), None),
        (PYTHONS, spec(python="/opt/venv/bin/../bin/python"), None),
        (PYTHONS, spec(python="/opt/venv/bin/../../other/python"), "python_executables"),
        (PYTHONS, spec(python="python"), "python_executables"),
        (FOLDERS, spec(), None),
        (FOLDERS, spec(folder="/srv/code"), None),
        (FOLDERS, spec(folder="/srv/code/sales"), None),
        (FOLDERS, spec(folder="/srv/codex"), "working_directories"),
        (FOLDERS, spec(folder="/srv/code/../secrets"), "working_directories"),
        (FOLDERS, spec(folder="relative"), "working_directories"),
        (FOLDERS, spec(file="defs.py"), None),
        (FOLDERS, spec(file="../defs.py"), "working_directories"),
        (FOLDERS, spec(folder="/srv/code", file="sales/defs.py"), None),
        (FOLDERS, spec(folder="/srv/code", file="../../etc/defs.py"), "working_directories"),
        (FOLDERS, spec(file="/srv/code/defs.py"), None),
        (FOLDERS, spec(file="/tmp/defs.py"), "working_directories"),
        (FOLDERS, spec(current="/srv/code"), None),
        (FOLDERS, spec(current="/tmp"), "working_directories"),
        (FOLDERS, spec(folder="/srv/code", current="/tmp"), "working_directories"),
        (FOLDERS, spec(current="/srv/code", folder="sales"), None),
        (FOLDERS, spec(current="/srv/code", file="sales/defs.py"), None),
        (FOLDERS, spec(current="/srv/code", file="../defs.py"), "working_directories"),
        (FOLDERS, spec(folder="/srv/code", env_file=".env"), None),
        (FOLDERS, spec(folder="/srv/code", env_file="/etc/secrets.env"), "working_directories"),
        (FOLDERS, spec(env_file="../secrets.env"), "working_directories"),
        (FOLDERS, spec(env=(("PYTHONPATH", "/srv/code/lib:/srv/code"),)), None),
        (FOLDERS, spec(env=(("PYTHONPATH", "/srv/code/lib:/tmp/lib"),)), "working_directories"),
        (FOLDERS, spec(env=(("LD_PRELOAD", "/tmp/evil.so"),)), "working_directories"),
        (OPEN, spec(current="/any", env_file="/any/.env"), None),
        (NAMES, spec(env=(("DATA_ROOT", "1"), ("REGION", "eu"))), None),
        (NAMES, spec(env=(("LD_PRELOAD", "x"),)), "env_names"),
        (NAMES, spec(env=(("data_root", "x"),)), "env_names"),
        (Policy(env_names=()), spec(env=(("REGION", "eu"),)), "env_names"),
    ],
)
def test_judgement(policy: Policy, wanted: LocationSpec, rule: str | None) -> None:
    verdict = judge(wanted, policy=policy)
    assert (verdict.rule if isinstance(verdict, Refused) else None) == rule
    assert isinstance(verdict, Allowed | Refused)


def test_no_file_is_an_empty_one() -> None:
    assert load_policy(None) == Policy()


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('env_names = ["DATA_*"]\nworking_directories = ["/srv"]\n')
    assert load_policy(path) == Policy(env_names=("DATA_*",), working_directories=(Path("/srv"),))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("env_names = 3\n", "env_names"),
        ("imagse = []\n", "imagse"),
        ("max_memory = 0\n", "max_memory"),
        ('isolation = ["alone"]\n', "isolation"),
        ("env_names = [\n", "policy.toml"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyFileError, match=problem):
        load_policy(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match=r"nothing\.toml"):
        load_policy(tmp_path / "nothing.toml")
