"""`isthmus doctor` on machines that are well and on those that are not."""

import asyncio
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from contract.cli.dev_kit import DEFINITIONS, environment

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    (tmp_path / "pyproject.toml").write_text('[tool.dagster]\nmodule_name = "definitions"\n')
    return tmp_path


async def doctor(folder: Path, *words: str, **variables: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus_cli", "doctor", *words),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment() | variables,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def by_name(out: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(out)}


async def test_a_machine_that_is_well_is_told_line_by_line(project: Path) -> None:
    code, out = await doctor(project)
    assert code == 0, out
    assert "✓ project       " in out
    assert "✓ versions      " in out
    assert "Isthmus's own" in out


async def test_what_fails_has_the_line_that_mends_it_and_the_exit_code_is_1(project: Path) -> None:
    (project / ".isthmus").mkdir(mode=0o755)
    code, out = await doctor(
        project, "--json", "--python", "/nowhere/python", ISTHMUS_BROKER_URL="amqp://a:secret@127.0.0.1:1/"
    )
    found = by_name(out)
    assert code == 1
    assert {name for name, one in found.items() if one["level"] == "fail"} == {"broker", "python"}
    assert found["data folder"]["level"] == "warn"
    assert found["data folder"]["remedy"] == f"chmod 700 {project / '.isthmus'}"
    assert all(one["remedy"] for one in found.values() if one["level"] != "ok")
    assert "secret" not in out


async def test_an_agents_side_is_examined_by_what_its_environment_names(tmp_path: Path) -> None:
    code, out = await doctor(
        tmp_path,
        "--json",
        ISTHMUS_AGENT_NAME="warehouse",
        ISTHMUS_AGENT_HOST="docker",
        ISTHMUS_AGENT_DOCKER_URL=f"unix://{tmp_path}/no.sock",
        ISTHMUS_AGENT_DATA_DIR=str(tmp_path / "data"),
        ISTHMUS_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
    )
    found = by_name(out)
    assert code == 1
    assert found["engine"]["level"] == found["database"]["level"] == "fail"
    assert found["data folder"]["text"] == f"{tmp_path / 'data'} is made at the first start"
    assert "project" not in found


async def test_where_the_command_line_is_alone_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    parts = [str(ROOT / part) for part in ("protos", "services/client", "services/cli")]
    process = await asyncio.create_subprocess_exec(
        # Without the links to all other parts that site-packages has.
        *(sys.executable, "-S", "-m", "isthmus_doctor", "json", "", str(tmp_path / "data")),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        env=environment()
        | {
            "PYTHONPATH": os.pathsep.join([*parts, sysconfig.get_path("purelib")]),
            "ISTHMUS_BROKER_URL": "amqp://a:secret@127.0.0.1:1/",
            "ISTHMUS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        },
    )
    out, _ = await process.communicate()
    found = by_name(out.decode())
    assert process.returncode == 0, out
    assert {name for name, one in found.items() if one["level"] == "skipped"} == {"broker", "database"}
    assert "isthmus-broker is not installed here" in found["broker"]["text"]
    assert found["data folder"]["text"] == f"{tmp_path / 'data'} is made at the first start"
