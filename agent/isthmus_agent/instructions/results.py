"""Tells outcomes: each until the broker has confirmed it."""

import asyncio

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import BrokerError, PublishRefusedError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger

from isthmus_agent.clock import now
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.outcome import Failed, Outcome, result_of

log = get_logger(__name__)


class ResultPublisher:
    """The way of results to the control plane's side."""

    def __init__(self, publisher: TelemetryPublisher) -> None:
        """Publish over `publisher`."""
        self._publisher = publisher

    async def publish(self, outcome: Outcome, *, kind: str | None, envelope: Envelope) -> None:
        """Publish until confirmed; a question's answer only for as long as somebody waits for it."""
        _log_outcome(outcome, kind=kind, envelope=envelope)
        event = telemetry.Event(instruction_result=result_of(outcome, instruction_id=envelope.id))
        event.occurred_at.CopyFrom(now())
        backoff = Backoff(0.05, 3.0)
        while True:
            try:
                if envelope.is_question:
                    return await self._publisher.answer(envelope.reply_to, event)
                return await self._publisher.publish(TelemetryKind.RESULT, (event,))
            except PublishRefusedError as error:
                log.error("result_refused", instruction_id=envelope.id, error=str(error))  # noqa: TRY400
                event.instruction_result.CopyFrom(_untellable(outcome, envelope=envelope, error=error))
            except BrokerError as error:
                if envelope.is_question and (envelope.is_expired or envelope.not_after is None):
                    log.info("answer_dropped", instruction_id=envelope.id, error=str(error))
                    return None
                log.debug("result_waits", instruction_id=envelope.id, error=str(error))
            await asyncio.sleep(backoff.next_wait_s())


def _untellable(outcome: Outcome, *, envelope: Envelope, error: PublishRefusedError) -> telemetry.InstructionResult:
    """Return a result in the place of one that the broker does not take."""
    reason = outcome.reason if isinstance(outcome, Failed) else telemetry.RUN_REASON_INTERNAL_ERROR
    return result_of(Failed.of(reason, error), instruction_id=envelope.id)


def _log_outcome(outcome: Outcome, *, kind: str | None, envelope: Envelope) -> None:
    facts = {"instruction_id": envelope.id, "kind": kind, "outcome": type(outcome).__name__.lower()}
    if isinstance(outcome, Failed):
        facts["reason"] = telemetry.RunReason.Name(telemetry.RunReason.ValueType(outcome.reason))
    log.info("instruction_handled", **facts)
