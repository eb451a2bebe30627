"""What agents are told of their locations."""

from datetime import UTC, datetime

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import (
    ISOLATION_DEDICATED,
    CodeSource,
    ContainerLimits,
    ContainerMount,
    ContainerSpec,
    Instruction,
)
from isthmus_control_plane.commands import command
from isthmus_control_plane.key import AgentKey
from isthmus_store.record.location import Location

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_all_that_a_location_asks_for_reaches_its_agent() -> None:
    settings = api.LocationSettings(
        name="etl",
        source=CodeSource(module="etl.definitions"),
        env={"REGION": "eu"},
        load_timeout_s=30,
        container=ContainerSpec(
            image="etl:1.4",
            mounts=[ContainerMount(source="data", target="/data")],
            limits=ContainerLimits(memory_bytes=512_000_000, cpus=1.5),
        ),
        isolation=ISOLATION_DEDICATED,
        standby=2,
        idle_ttl_s=900,
    )
    location = Location(
        deployment="default",
        name="etl",
        pool="default",
        generation=3,
        settings=settings.SerializeToString(),
        applied_at=AT,
        removed_at=None,
    )
    row = command.sync(AgentKey("default", "a"), revision=7, held=[command.HeldLocation(location, "hash")], at=AT)
    spec = Instruction.FromString(row.body).sync_locations.locations[0]
    assert (spec.name, spec.generation, spec.known_snapshot_hash) == ("etl", 3, "hash")
    # Every field that a location's settings and its spec have in common by name.
    told = {it.name for it in spec.DESCRIPTOR.fields} & {it.name for it in settings.DESCRIPTOR.fields}
    assert told >= {"source", "env", "load_timeout_s", "container", "isolation", "standby", "idle_ttl_s"}
    assert {name: getattr(spec, name) for name in told} == {name: getattr(settings, name) for name in told}
