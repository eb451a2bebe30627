"""Why a run that is under way comes no further, where its code server found it standing still."""

from isthmus.v1.telemetry_pb2 import Event
from isthmus_store import events
from isthmus_store.record.run import Run
from isthmus_store.transaction import Transaction

from isthmus_control_plane.desk.reason import Reason
from isthmus_control_plane.dispatching.block import Block, Cause


async def standstill_reasons(tx: Transaction, run: Run) -> list[Reason]:
    """Return why a run stands still; nothing for one that has told anything since that was found."""
    page = await events.of_run(tx, events.RunEventQuery(run_id=run.run_id, limit=1, is_descending=True))
    told = [Event.FromString(it.body) for it in page.events if it.attempt == run.attempt]
    remedy = f"look at what it said: isthmus run logs {run.run_id[:8]}; end it: isthmus run cancel {run.run_id[:8]}"
    return [
        Reason(Block(Cause.STANDSTILL, event.message, remedy=remedy))
        for event in told
        if event.HasField("log_message") and event.log_message.is_standstill
    ]
