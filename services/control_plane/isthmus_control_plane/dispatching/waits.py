"""Why runs wait, as the last look through the queue found it: known here once, not written to each run that waits."""

from collections.abc import Mapping
from dataclasses import replace

from isthmus_store.record.run import Run
from isthmus_store.state import RunState

from isthmus_control_plane.dispatching.line import LineName
from isthmus_control_plane.key import LocationKey


class Waits:
    """The reason of each line of runs that wait."""

    def __init__(self) -> None:
        self._reasons: Mapping[str, str] = {}

    def note(self, reasons: Mapping[str, str]) -> set[LocationKey]:
        """Take what was found in place of what was known; returns the locations with another reason than before."""
        changed = [line for line, reason in reasons.items() if self._reasons.get(line) != reason]
        self._reasons = reasons
        return {name.location for line in changed if (name := LineName.parse(line)) is not None}

    def explained(self, run: Run) -> Run:
        """Return a run with the reason why it waits now; one that does not wait, or was queued just now, as it is."""
        reason = self._reasons.get(run.line)
        return run if reason is None or run.state is not RunState.QUEUED else replace(run, message=reason)
