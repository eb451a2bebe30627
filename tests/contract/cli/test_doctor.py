"""`isthmus doctor` on machines that are well and on those that are not."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from contract.cli.dev_kit import DEFINITIONS, environment

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
