"""What `isthmus dev` offers to type next is what the project has."""

import pytest
from isthmus.v1.control_plane_pb2 import Location, LocationSettings
from isthmus.v1.telemetry_pb2 import JobSnapshot, LocationSnapshot, ScheduleSnapshot, SensorSnapshot
from isthmus_cli.view.paint import Paint
from isthmus_dev.screen import Screen, ready_lines


@pytest.mark.parametrize(
    ("snapshot", "offered"),
    [
        (LocationSnapshot(), set()),
        (LocationSnapshot(schedules=[ScheduleSnapshot(name="nightly")]), {"schedule"}),
        (LocationSnapshot(sensors=[SensorSnapshot(name="on_file")]), {"sensor"}),
    ],
)
def test_schedules_and_sensors_are_offered_where_there_are_some(snapshot: LocationSnapshot, offered: set[str]) -> None:
    snapshot.jobs.append(JobSnapshot(name="greet"))
    location = Location(settings=LocationSettings(name="shop"), snapshot=snapshot)
    lines = ready_lines([location], address="127.0.0.1:1", server_option=" --server x:1", paint=Paint(is_colored=False))
    told = {group for group in ("schedule", "sensor") if f"  isthmus --server x:1 {group} list" in lines}
    assert told == offered


def test_a_line_in_the_middle_of_a_step_stands_above_it(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(paint=Paint(is_colored=False), is_terminal=True)
    with screen.step("definitions") as step:
        screen.say("! the disk is full")
        step.facts = "loaded"
    written = capsys.readouterr().out
    assert written.startswith("… definitions\r\x1b[K! the disk is full\n… definitions\r\x1b[K✓ definitions   loaded")
