"""How long a launch may take to start its run."""

from datetime import timedelta

import pytest
from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus_control_plane.dispatching.lifetime import launch_lifetime
from unit.monitor.rows import agent


@pytest.mark.parametrize(
    ("load_timeout_s", "lifetime_s"), [(0.0, 300), (30.0, 300), (240.0, 360), (300.0, 420), (3600.0, 3720)]
)
def test_a_launch_outlives_the_import_that_it_waits_for(load_timeout_s: float, lifetime_s: int) -> None:
    settings = LocationSettings(name="sales", load_timeout_s=load_timeout_s).SerializeToString()
    assert launch_lifetime(settings, agents=[agent()], launch_timeout_s=300.0) == timedelta(seconds=lifetime_s)


@pytest.mark.parametrize(("load_timeout_s", "lifetime_s"), [(0.0, 420), (30.0, 300), (3600.0, 3720)])
def test_a_location_that_says_nothing_has_its_agents_time(load_timeout_s: float, lifetime_s: int) -> None:
    settings = LocationSettings(name="sales", load_timeout_s=load_timeout_s).SerializeToString()
    known = agent(load_timeout_s=300.0)
    assert launch_lifetime(settings, agents=[known], launch_timeout_s=300.0) == timedelta(seconds=lifetime_s)


def test_a_location_that_has_gone_has_the_usual_time() -> None:
    assert launch_lifetime(None, agents=[], launch_timeout_s=300.0) == timedelta(seconds=300)
