"""Forgets what was taken down in an earlier life of the agent and was handed to another process since."""

from collections.abc import Iterator, Mapping
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1 import instance_pb2 as instance
from isthmus.v1.control_plane_pb2 import Run
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.instance.relay import InstanceRelay
from isthmus_agent.intake.journal import Entry, IntakeJournal
from isthmus_agent.run_key import RunKey

log = get_logger(__name__)

#: How long an agent that begins waits for the control plane's word, seconds. Without one it goes on with all that it has.
_PATIENCE_S: Final = 3.0
#: So many runs are asked about at once.
_RUNS_AT_ONCE: Final = 500


async def forget_overtaken(intake: IntakeJournal, *, tombstones: Tombstones, relay: InstanceRelay) -> None:
    """Ask how far the runs are whose launches were taken down; forget those that are over, or at a later attempt.

    While this process was away another one may have been the agent, without this folder: the control plane has had the
    runs launched there, as their next attempts.
    """
    launches, boundary = list(_launches(intake)), Boundary("launch overtaken")
    for start in range(0, len(launches), _RUNS_AT_ONCE):
        portion = launches[start : start + _RUNS_AT_ONCE]
        found = await _find(relay, run_ids=[key.run_id for _, key in portion])
        if found is None:
            return
        for entry, key in portion:
            run = found.get(key.run_id)
            if run is not None and (run.HasField("ended_at") or run.request.run.attempt > key.attempt):
                log.warning("launch_overtaken", run_id=key.run_id, attempt=key.attempt)
                # On a full disk it has no tombstone; what it started would be of an attempt that is over.
                with boundary.guard(run_id=key.run_id, attempt=key.attempt):
                    tombstones.add(key, not_before=0.0)
                intake.remove(entry)


def _launches(intake: IntakeJournal) -> Iterator[tuple[Entry, RunKey]]:
    for entry in intake.all():
        try:
            message = intake.read(entry)
        except (OSError, DecodeError) as error:
            # Whoever works it off says so, too.
            log.debug("taken_instruction_unreadable", instruction_id=entry.instruction_id, error=str(error))
            continue
        if message.WhichOneof("body") == "launch_run":
            yield entry, RunKey.of(message.launch_run.request.run)


async def _find(relay: InstanceRelay, *, run_ids: list[str]) -> Mapping[str, Run] | None:
    """Return the runs as they stand, those that there are; None if nobody answers."""
    wanted = instance.RunsQuery(run_ids=run_ids, limit=len(run_ids))
    answer = await relay.ask(instance.InstanceQuery(timeout_s=_PATIENCE_S, runs=wanted))
    if answer.WhichOneof("result") != "runs":
        log.info("runs_unknown", why=answer.failure.message)
        return None
    return {one.run.request.run.run_id: one.run for one in answer.runs.runs}
