"""Runs that a person deletes before they are old."""

from datetime import timedelta
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_lifecycle.log import get_logger
from isthmus_store import runs
from isthmus_store.record.run import Run
from isthmus_store.retention import runs as removal

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.runs import find
from isthmus_control_plane.errors import PreconditionError
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

#: What one transaction removes at the most, in events of ordinary size: others wait to write meanwhile.
_PART: Final = 500
#: Ends are compared with the moment of the deletion, and clocks of two processes may differ by so much.
_AHEAD: Final = timedelta(minutes=5)


class DeletionDesk:
    """Deletes runs that have ended."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def delete(self, request: api.DeleteRunRequest) -> None:
        """Delete a run with its history; what assets are asked about outlives it.

        The events of a large one go in the background, where nobody sees them any more.

        Raises:
            NotFoundError: There is no such run.
            PreconditionError: It has not ended, or an agent is still to be told something about it.
        """
        refuse(rules.delete_run(request))
        run_id, before = request.run_id.lower(), clock.now() + _AHEAD
        async with self._core.database.read() as tx:
            run = await find(tx, deployment=request.deployment or DEFAULT, run_id=run_id)
            weight = await removal.weight(tx, run_id)
        if not run.state.is_terminal:
            why = f"run {run_id} has not ended, it is {run.state.value}."
            raise _refused(run, rule="RUN_NOT_ENDED", why=why, remedy=f"Cancel it first: isthmus run cancel {run_id}")
        if weight <= _PART:
            async with self._core.database.write() as tx:
                await removal.remove(tx, [run_id], ended_before=before)
        else:
            has_more = True
            while has_more:  # pauses: each part is a transaction of its own
                async with self._core.database.write() as tx:
                    has_more = await removal.remove_part(tx, run_id, ended_before=before, rows=_PART)
        await self._require_gone(run)
        log.info("run_deleted", run=run_id, job=run.job_name, requested_by=request.requested_by)
        self._core.hub.run_changed(run_id)

    async def _require_gone(self, run: Run) -> None:
        async with self._core.database.read() as tx:
            found = await runs.get(tx, run.run_id)
        if found is not None:
            why = f"an agent is still to be told something about run {run.run_id}."
            raise _refused(run, rule="RUN_HAS_COMMANDS", why=why, remedy="Try again in a moment.")


def _refused(run: Run, *, rule: str, why: str, remedy: str) -> PreconditionError:
    return PreconditionError(f"runs/{run.run_id}", rule=rule, why=why, remedy=remedy)
