"""What the documentation shows to authors of tools is executed as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import RunState, RunUpdate
from isthmus.v1.telemetry_pb2 import Event, StepStarted
from support.canned import CannedServer, a_run

DOCUMENT = Path(__file__).parents[3] / "docs/api.md"
EXAMPLES = [
    block
    for block in re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if "isthmus_client" in block
]


def test_both_clients_are_shown() -> None:
    text = "".join(EXAMPLES)
    assert "ControlPlaneClient(" in text
    assert "BlockingClient(" in text


@pytest.mark.parametrize("example", EXAMPLES)
async def test_example_works(canned: CannedServer, tmp_path: Path, example: str) -> None:
    started = Event(step_key="load", step_started=StepStarted())
    canned.plane.updates = [
        RunUpdate(position=1, event=started),
        RunUpdate(run=a_run("r1", state=RunState.RUN_STATE_SUCCEEDED)),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", example),
        cwd=tmp_path,
        env={**os.environ, "ISTHMUS_SERVER": canned.address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "RUN_STATE_SUCCEEDED" in out.decode()
    assert canned.plane.asked[0].job_name == "nightly"  # type: ignore[attr-defined]
