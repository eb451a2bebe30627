"""Tells how a location fares: whenever that differs from what was told last, and not more often than is of use."""

import time
from collections.abc import Callable
from dataclasses import replace

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_lifecycle.log import get_logger

from isthmus_agent.locations.report import LocationStatus, report_event
from isthmus_agent.servers.held import Description

log = get_logger(__name__)

#: How often mere progress is told, seconds: a pull speaks many times a second, and each word would be stored.
_PROGRESS_INTERVAL_S = 1.0


class LocationTeller:
    """The last word about one location, and when it was said."""

    def __init__(self, location: str, report: Callable[[str, telemetry.Event], None]) -> None:
        """Hand reports on `location` to `report`."""
        self._location = location
        self._report = report
        self._told: LocationStatus | None = None
        self._told_at = 0.0

    def forget(self) -> None:
        """Tell it again, though nothing changed."""
        self._told = None

    def tell(self, status: LocationStatus, *, description: Description | None, known_snapshot_hash: str) -> None:
        """Tell a status unless it is known."""
        told = self._told
        is_new = told is None or replace(told, progress=status.progress) != status
        is_due = status != told and time.monotonic() - self._told_at >= _PROGRESS_INTERVAL_S
        if not is_new and not is_due:
            return
        self._told, self._told_at = status, time.monotonic()
        log.info("location_reported", location=self._location, generation=status.generation, phase=status.phase.name)
        event = report_event(status, description=description, known_snapshot_hash=known_snapshot_hash)
        self._report(self._location, event)
