"""What a sensor of automation is told of other locations: owners of what its own knows by name, and of what it has, too."""

from isthmus.v1 import telemetry_pb2 as pb
from isthmus_control_plane.automation.surroundings import around
from isthmus_control_plane.validation.definition import Definitions, Sensor

UP, OWN, SHARED = (pb.AssetKey(path=[name]) for name in ("up", "own", "shared"))
DAILY = pb.PartitionsSnapshot(kind="time_window", cron_schedule="0 0 * * *", format="%Y-%m-%d", timezone="UTC")
SENSOR = Sensor("s", "automation", 30, (), is_running_by_default=True, automated=frozenset({("own",), ("shared",)}))


def definitions(*assets: pb.AssetSnapshot) -> Definitions:
    return Definitions.of(pb.LocationSnapshot(assets=assets))


def test_what_is_known_by_name_is_told_as_its_owner_defines_it() -> None:
    owner = pb.AssetSnapshot(key=UP, is_executable=True, is_materializable=True, partitions=DAILY)
    owner.checks.add(name="whole", is_blocking=True)
    owner.checks.add(name="nice")
    found = around(
        SENSOR,
        location="b",
        locations={
            "a": definitions(owner),
            "b": definitions(pb.AssetSnapshot(key=UP, is_stub=True), pb.AssetSnapshot(key=OWN, is_executable=True)),
            "c": definitions(pb.AssetSnapshot(key=UP, is_stub=True)),
        },
    )
    (up,) = found.neighbours
    assert (up.key, up.partitions, up.is_materializable) == (UP, DAILY, True)
    assert [(it.name, it.is_blocking) for it in up.checks] == [("whole", True)]
    assert not found.owned_elsewhere


def test_what_nobody_defines_is_no_neighbour() -> None:
    found = around(SENSOR, location="b", locations={"b": definitions(pb.AssetSnapshot(key=UP, is_stub=True))})
    assert not found.neighbours


def test_of_two_that_can_make_an_asset_one_decides() -> None:
    both = {name: definitions(pb.AssetSnapshot(key=SHARED, is_executable=True)) for name in ("a", "b")}
    assert not around(SENSOR, location="a", locations=both).owned_elsewhere
    assert list(around(SENSOR, location="b", locations=both).owned_elsewhere) == [SHARED]
