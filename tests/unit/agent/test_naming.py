"""Names of servers are made from what they serve."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from isthmus.v1 import instruction_pb2 as instruction
from isthmus_agent.desired.location import LocationSpec
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.naming import server_name

SPEC = ServerSpec(
    deployment="prod",
    agent="edge",
    location="sales",
    generation=3,
    source=CodeSource(TargetKind.MODULE, "definitions"),
    runs_dir=Path("/data/runs/sales"),
    broker_url="amqp://user:secret@broker/",
    env={"A": "1", "B": "2"},
)


def test_a_name_tells_location_and_generation_and_no_secret() -> None:
    assert server_name(SPEC).startswith("sales-g3-")
    assert "secret" not in server_name(SPEC) + repr(SPEC)


def test_equal_specs_have_equal_names_whatever_the_order_of_their_variables() -> None:
    assert server_name(replace(SPEC, env={"B": "2", "A": "1"})) == server_name(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"deployment": "test"},
        {"agent": "other"},
        {"generation": 4},
        {"source": CodeSource(TargetKind.PACKAGE, "definitions")},
        {"source": CodeSource(TargetKind.MODULE, "definitions", attribute="defs")},
        {"broker_url": "amqp://user:rotated@broker/"},
        {"runs_dir": Path("/elsewhere")},
        {"env": {"A": "1"}},
        {"cancel_grace_s": 1.0},
    ],
)
def test_another_spec_is_another_server(change: dict[str, Any]) -> None:
    assert server_name(replace(SPEC, **change)) != server_name(SPEC)


@pytest.mark.parametrize(
    "message",
    [
        instruction.CodeSource(module="a.b", attribute="defs", working_directory="/srv"),
        instruction.CodeSource(python_file="defs.py", python_executable="/opt/python"),
        instruction.CodeSource(package="pkg", leave_children=True),
    ],
)
def test_a_source_survives_the_way_in_and_out(message: instruction.CodeSource) -> None:
    assert CodeSource.from_proto(message).to_proto() == message


def test_a_location_is_read_from_its_message() -> None:
    message = instruction.LocationSpec(name="sales", generation=2, known_snapshot_hash="h", load_timeout_s=3)
    message.source.module = "definitions"
    message.env["B"], message.env["A"] = "2", "1"
    spec = LocationSpec.from_proto(message)
    assert spec.env == (("A", "1"), ("B", "2"))
    assert (spec.name, spec.generation, spec.known_snapshot_hash, spec.load_timeout_s) == ("sales", 2, "h", 3)
