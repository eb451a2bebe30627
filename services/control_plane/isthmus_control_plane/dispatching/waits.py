"""Why runs wait, as the last look through the queue found it: known here once, not written to each run that waits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from isthmus_store.queue_line import Needs
from isthmus_store.record.run import Run
from isthmus_store.state import RunState

from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.block import View, first_block
from isthmus_control_plane.key import LocationKey


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look found out of which nobody could leave: the lines, and what was decided on."""

    needs: Mapping[str, Needs] = field(default_factory=dict)
    #: None where no run waits.
    view: View | None = None

    def reason(self, line: str) -> str | None:
        """Say why the first run of a line waits; None when the look knew nothing of it."""
        needs = self.needs.get(line)
        if needs is None or self.view is None:
            return None
        first = first_block(needs, self.view)
        return first.text if first is not None else queue.in_line(needs.location)


class Waits:
    """The reason of each line of runs that wait, told when somebody asks."""

    def __init__(self) -> None:
        self._found = Findings()

    def note(self, found: Findings, *, watched: Collection[LocationKey]) -> set[LocationKey]:
        """Take what was found in place of what was known; returns those of the locations with another reason than before."""
        before, self._found = self._found, found
        if not watched:
            return set()
        lines = {line: needs.location for line, needs in found.needs.items() if needs.location in watched}
        return {location for line, location in lines.items() if before.reason(line) != found.reason(line)}

    def explained(self, run: Run) -> Run:
        """Return a run with the reason why it waits now; one that does not wait, or was queued just now, as it is."""
        if run.state is not RunState.QUEUED:
            return run
        reason = self._found.reason(run.line)
        return run if reason is None else replace(run, message=reason)
