"""What a location may ask of its containers, and in which words it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import (
    PULL_POLICY_ALWAYS,
    CodeSource,
    ContainerLimits,
    ContainerMount,
    ContainerSpec,
)
from isthmus_control_plane.validation import container, request


def faults(spec: ContainerSpec) -> dict[str, str]:
    found = container.location(api.LocationSettings(name="etl", container=spec))
    return {it.field.removeprefix("settings.container."): it.description for it in found}


def test_what_people_ask_for_passes() -> None:
    spec = ContainerSpec(
        image="registry.example:5000/team/etl@sha256:0123",
        pull_policy=PULL_POLICY_ALWAYS,
        command=["python", "-m", "isthmus_code_server"],
        user="1000:1000",
        networks=["warehouse"],
        mounts=[ContainerMount(source="etl-data", target="/data"), ContainerMount(source="/srv", target="/srv")],
        limits=ContainerLimits(memory_bytes=512_000_000, cpus=0.5, pids=100),
        tmpfs=["/scratch"],
        capabilities=["NET_RAW"],
        stop_timeout_s=30,
    )
    settings = api.LocationSettings(name="etl", source=CodeSource(module="m"), container=spec, standby=2, idle_ttl_s=60)
    assert request.apply_location(api.ApplyLocationRequest(settings=settings)) == []


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (ContainerSpec(image="an image"), {"image"}),
        (ContainerSpec(image="-v"), {"image"}),
        (ContainerSpec(image="a" * 1025), {"image"}),
        (ContainerSpec(command=["python", ""]), {"command[1]"}),
        (ContainerSpec(user="root; id"), {"user"}),
        (ContainerSpec(networks=["ok", "a b"]), {"networks[1]"}),
        (ContainerSpec(capabilities=["net raw", ""]), {"capabilities[1]"}),
        (ContainerSpec(capabilities=["net raw"]), {"capabilities[0]"}),
        (ContainerSpec(tmpfs=["/a", "b"]), {"tmpfs[1]"}),
        (ContainerSpec(limits=ContainerLimits(memory_bytes=1000)), {"limits.memory_bytes"}),
        (ContainerSpec(limits=ContainerLimits(cpus=float("nan"))), {"limits.cpus"}),
        (ContainerSpec(limits=ContainerLimits(cpus=-1)), {"limits.cpus"}),
        (ContainerSpec(limits=ContainerLimits(pids=5_000_000)), {"limits.pids"}),
        (ContainerSpec(stop_timeout_s=-1), {"stop_timeout_s"}),
        (ContainerSpec(pull_policy=9), {"pull_policy"}),  # type: ignore[arg-type]
    ],
)
def test_what_no_engine_could_take_is_refused_by_field(spec: ContainerSpec, fields: set[str]) -> None:
    assert set(faults(spec)) == fields


@pytest.mark.parametrize(
    ("source", "target", "fields"),
    [
        ("", "/data", {"mounts[0].source"}),
        ("data/x", "/data", {"mounts[0].source"}),
        ("/srv/../etc", "/data", {"mounts[0].source"}),
        ("/", "/data", {"mounts[0].source"}),
        ("data", "data", {"mounts[0].target"}),
        ("data", "/", {"mounts[0].target"}),
        ("data", "/data//x", {"mounts[0].target"}),
        ("data", "/data/.", {"mounts[0].target"}),
        ("data", "/data/x", set()),
        ("/srv/files/", "/data", set()),
    ],
)
def test_mounts_are_plain_paths_or_volumes(source: str, target: str, fields: set[str]) -> None:
    assert set(faults(ContainerSpec(mounts=[ContainerMount(source=source, target=target)]))) == fields


def test_two_mounts_cannot_have_one_target() -> None:
    mounts = [ContainerMount(source="a", target="/data"), ContainerMount(source="b", target="/data")]
    assert set(faults(ContainerSpec(mounts=mounts))) == {"mounts[1].target"}


def test_standby_isolation_and_idle_time_have_bounds() -> None:
    settings = api.LocationSettings(
        standby=101,
        replicas=101,
        isolation=7,  # type: ignore[arg-type]
        idle_ttl_s=float("inf"),
    )
    found = {it.field for it in container.location(settings)}
    assert found == {"settings.standby", "settings.replicas", "settings.isolation", "settings.idle_ttl_s"}


@given(st.text(), st.text())
def test_any_mount_is_judged(source: str, target: str) -> None:
    spec = ContainerSpec(mounts=[ContainerMount(source=source, target=target)])
    assert set(faults(spec)) <= {"mounts[0].source", "mounts[0].target"}
