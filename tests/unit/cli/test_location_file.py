"""What a file of locations says of containers, and how it is told what is wrong."""

from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import AGENT_STATE_LOST, AGENT_STATE_ONLINE, Location, LocationSettings
from isthmus.v1.instruction_pb2 import (
    ISOLATION_DEDICATED,
    ISOLATION_UNSPECIFIED,
    PULL_POLICY_ALWAYS,
    ContainerLimits,
    ContainerMount,
    ContainerSpec,
)
from isthmus_cli.container_entry import bytes_of
from isthmus_cli.errors import InputError
from isthmus_cli.location_file import read_location_file, settings_of
from isthmus_cli.view.container import container_facts
from isthmus_cli.view.location import location_lines, location_table
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Room

WHOLE = """
locations:
  - name: etl
    module: etl.definitions
    container:
      image: registry.example/etl:1.4
      pull_policy: always
      command: [python, -m, isthmus_code_server]
      user: "1000:1000"
      networks: [warehouse]
      mounts: [{source: etl-data, target: /data}, {source: /srv/files, target: /files, read_only: true}]
      limits: {memory: 512MB, cpus: 1.5, pids: 200}
      tmpfs: [/scratch]
      root_writable: true
      capabilities: [NET_RAW]
      privileged: false
      stop_timeout_s: 20
    isolation: dedicated
    standby: 2
    replicas: 3
    idle_ttl_s: 900
"""


def read(tmp_path: Path, text: str) -> LocationSettings:
    file = tmp_path / "locations.yaml"
    file.write_text(text)
    return read_location_file(file)[0]


@pytest.mark.parametrize(
    ("line", "leaves"), [("leave_children: true", True), ("leave_children: false", False), ("", False)]
)
def test_who_means_it_may_leave_processes(tmp_path: Path, line: str, *, leaves: bool) -> None:
    text = f"locations:\n  - name: etl\n    module: etl.definitions\n    {line}\n"
    assert read(tmp_path, text).source.leave_children is leaves


def test_every_field_of_a_container_reaches_the_contract(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE)
    assert settings.container == ContainerSpec(
        image="registry.example/etl:1.4",
        pull_policy=PULL_POLICY_ALWAYS,
        command=["python", "-m", "isthmus_code_server"],
        user="1000:1000",
        networks=["warehouse"],
        mounts=[
            ContainerMount(source="etl-data", target="/data"),
            ContainerMount(source="/srv/files", target="/files", is_read_only=True),
        ],
        limits=ContainerLimits(memory_bytes=512_000_000, cpus=1.5, pids=200),
        tmpfs=["/scratch"],
        is_root_writable=True,
        capabilities=["NET_RAW"],
        stop_timeout_s=20,
    )
    assert (settings.isolation, settings.standby, settings.idle_ttl_s) == (ISOLATION_DEDICATED, 2, 900)
    assert settings.replicas == 3


def test_what_is_left_out_is_left_to_the_agent(tmp_path: Path) -> None:
    settings = read(tmp_path, "locations: [{name: etl, module: etl}]")
    assert settings.container == ContainerSpec(limits=ContainerLimits())
    assert (settings.isolation, settings.standby, settings.idle_ttl_s) == (ISOLATION_UNSPECIFIED, 0, 0)
    assert [value for _, value in container_facts(settings) if value] == []


def test_options_describe_a_container_too() -> None:
    container = {"image": "etl:1", "limits": {"memory": "1GiB", "cpus": 2.0}}
    settings = settings_of(name="etl", module="etl", container=container, isolation="dedicated", standby=1)
    assert settings.container.image == "etl:1"
    assert settings.container.limits == ContainerLimits(memory_bytes=1024**3, cpus=2.0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("512MB", 512_000_000),
        ("1GiB", 1_073_741_824),
        ("1.5 GB", 1_500_000_000),
        ("64kB", 64_000),
        ("10KiB", 10_240),
        (1048576, 1_048_576),
        ("7B", 7),
    ],
)
def test_sizes_are_read_with_their_unit(text: object, number: int) -> None:
    assert bytes_of(text) == number


@pytest.mark.parametrize("text", ["", "MB", "512M", "-1MB", "1 PB", "1,5GB", "half", True, None, "iB"])
def test_what_is_no_size_says_how_to_write_one(text: object) -> None:
    with pytest.raises(ValueError, match="512MB, 1GiB"):
        bytes_of(text)


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ("{imag: a}", "locations[0].container.imag: there is no such field; did you mean image?"),
        ("{limits: {ram: 1GB}}", "locations[0].container.limits.ram: there is no such field; the fields are memory"),
        ("{mounts: [{from: a}]}", "mounts[0].from: there is no such field; the fields are source, target, read_only"),
        ("{limits: {memory: lots}}", "locations[0].container.limits.memory: write a size as 512MB"),
        ("{pull_policy: sometimes}", "locations[0].container.pull_policy: "),
    ],
)
def test_a_wrong_container_is_told_by_field(tmp_path: Path, container: str, words: str) -> None:
    with pytest.raises(InputError) as told:
        read(tmp_path, f"locations: [{{name: etl, module: etl, container: {container}}}]")
    assert words in str(told.value)


def test_a_container_is_shown_in_words(tmp_path: Path) -> None:
    facts = {name: value for name, value in container_facts(read(tmp_path, WHOLE)) if value}
    assert facts["limits"] == "512 MB, 1.5 CPUs, 200 processes"
    assert facts["mounts"] == "etl-data at /data, /srv/files at /files (read-only)"
    assert (facts["pull"], facts["isolation"], facts["standby"]) == ("always", "dedicated", "2")
    assert facts["powers"] == "NET_RAW"


def test_a_location_is_on_one_agent_at_the_least(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="replicas"):
        read(tmp_path, "locations: [{name: etl, module: etl, replicas: 0}]")


def test_a_location_that_is_on_fewer_agents_than_it_should_be_says_so() -> None:
    location = Location(settings=LocationSettings(name="etl", pool="big", replicas=3))
    location.placements.add(agent="a", agent_state=AGENT_STATE_ONLINE)
    location.placements.add(agent="b", agent_state=AGENT_STATE_LOST)
    text = "on 1 of 3 agents: no other of pool big is online"
    assert text in "\n".join(location_table([location], paint=Paint(), room=Room()))
    shown = "\n".join(location_lines(location, paint=Paint()))
    assert "replicas  3 agents" in shown
    assert "b (lost)" in shown
    assert text in shown
    location.placements[1].agent_state = AGENT_STATE_ONLINE
    location.placements.add(agent="c", agent_state=AGENT_STATE_ONLINE)
    assert "no other" not in "\n".join(location_lines(location, paint=Paint()))
