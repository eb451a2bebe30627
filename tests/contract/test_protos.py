"""The contract's generated code: what may live beside it, and what it keeps of messages that it does not know."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from isthmus.v1.instruction_pb2 import Instruction, LaunchRun
from isthmus.v1.telemetry_pb2 import Event

ROOT = Path(__file__).parents[2]
# grpcio's own floor is in protos/pyproject.toml; protobuf's oldest is what users of the oldest Dagster may have.
PROTOBUFS = ["4.25.8", "5.29.5", "6.33.0", "7.36.2"]

ROUND_TRIP = """
import pkgutil, importlib, isthmus.v1, google.protobuf
for module in pkgutil.iter_modules(isthmus.v1.__path__):
    importlib.import_module(f"isthmus.v1.{module.name}")
from isthmus.v1.instruction_pb2 import Instruction
sent = Instruction(id="i-1")
sent.launch_run.SetInParent()
received = Instruction.FromString(sent.SerializeToString())
assert received == sent and received.HasField("launch_run")
print(google.protobuf.__version__)
"""


def _uv() -> str:
    own = ROOT / ".venv-uv/bin/uv"
    found = str(own) if own.exists() else shutil.which("uv")
    assert found, "uv is missing: run `make .venv-uv/installed`"
    return found


def _environment_with(protobuf: str) -> Path:
    """A Python that has the named protobuf and nothing of ours; made once."""
    folder = ROOT / f".venv-protobuf-{protobuf}"
    python = folder / "bin/python"
    if not (folder / ".ready").exists():
        subprocess.run([_uv(), "venv", "--quiet", "--clear", "--python", ">=3.11,<3.13", folder], check=True)
        packages = [f"protobuf=={protobuf}", "grpcio>=1.62.3"]
        subprocess.run([_uv(), "pip", "install", "--quiet", "--python", python, *packages], check=True)
        (folder / ".ready").touch()
    return python


@pytest.mark.timeout(180)
@pytest.mark.parametrize("protobuf", PROTOBUFS)
def test_generated_code_works_without_a_warning_on(protobuf: str) -> None:
    python = _environment_with(protobuf)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "protos"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, "-W", "error", "-c", ROUND_TRIP], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == protobuf


def test_round_trip_keeps_every_field() -> None:
    sent = Instruction(id="i-1", deployment="prod", agent="a")
    sent.launch_run.request.run.run_id = "r-1"
    assert Instruction.FromString(sent.SerializeToString()) == sent


def test_unknown_fields_survive_a_round_trip_through_an_older_reader() -> None:
    # Field 1999 is of a future version: length-delimited, 3 bytes.
    unknown = bytes([0b11111010, 0b01111100, 3]) + b"new"
    newer = LaunchRun().SerializeToString() + unknown
    assert LaunchRun.FromString(newer).SerializeToString() == newer


def test_an_event_of_a_future_kind_is_no_kind_and_keeps_its_bytes() -> None:
    unknown = bytes([0b11111010, 0b01111100, 3]) + b"new"
    event = Event.FromString(Event(seq=7).SerializeToString() + unknown)
    assert event.seq == 7
    assert event.WhichOneof("body") is None
    assert event.SerializeToString().endswith(unknown)
