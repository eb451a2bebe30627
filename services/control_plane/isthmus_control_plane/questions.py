"""Questions to agents: an instruction goes out, and somebody waits here for the one answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from isthmus.v1.instruction_pb2 import Instruction
from isthmus.v1.telemetry_pb2 import InstructionResult
from isthmus_broker.answers import Answer, AnswerListener
from isthmus_broker.errors import BrokerError
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.settings import BrokerSettings
from isthmus_lifecycle.log import get_logger

from isthmus_control_plane import clock
from isthmus_control_plane.errors import AnswerTimeoutError, BrokerAwayError, UnsupportedByAgentError
from isthmus_control_plane.key import AgentKey

log = get_logger(__name__)

#: How long a question waits for the way back to be open, when the broker is just coming up, seconds.
_LISTEN_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Respondent:
    """Whom to ask."""

    agent: AgentKey
    #: The broker account that its answer must carry; empty for any.
    broker_user: str


@dataclass(frozen=True, slots=True)
class _Pending:
    respondent: Respondent
    answer: asyncio.Future[InstructionResult]


class Questions:
    """Asks agents, and matches their answers while `run` goes on. Nothing of either is stored."""

    def __init__(self, settings: BrokerSettings, *, publisher: InstructionPublisher) -> None:
        # A new word for each life of this process: answers to questions of an earlier life go nowhere.
        self._reply_to = f"cp-{uuid4().hex}"
        self._publisher = publisher
        self._listener = AnswerListener(settings, reply_to=self._reply_to, on_answer=self._on_answer)
        self._pending: dict[str, _Pending] = {}

    async def run(self) -> None:
        """Listen for answers until cancelled."""
        await self._listener.run()

    async def ask(
        self, respondent: Respondent, *, timeout_s: float, fill: Callable[[Instruction], None]
    ) -> InstructionResult:
        """Ask an agent and wait for its answer.

        Args:
            respondent: Whom to ask.
            timeout_s: How long to wait for the broker and the answer together.
            fill: Sets the instruction's body.

        Raises:
            BrokerAwayError: the question could not be sent.
            AnswerTimeoutError: no answer came, or the agent took the question too late.
            UnsupportedByAgentError: the agent does not know this kind of question.
        """
        agent = respondent.agent
        question = self._question(agent, timeout_s=timeout_s)
        fill(question)
        pending = _Pending(respondent, asyncio.get_running_loop().create_future())
        self._pending[question.id] = pending
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(question)
                result = await pending.answer
        except TimeoutError as error:
            raise AnswerTimeoutError(agent.name, timeout_s=timeout_s) from error
        finally:
            del self._pending[question.id]
        if result.outcome == InstructionResult.OUTCOME_UNSUPPORTED:
            raise UnsupportedByAgentError(agent.name, question=str(question.WhichOneof("body")))
        if result.outcome == InstructionResult.OUTCOME_EXPIRED:
            raise AnswerTimeoutError(agent.name, timeout_s=timeout_s)
        return result

    def _question(self, agent: AgentKey, *, timeout_s: float) -> Instruction:
        now = clock.now()
        return Instruction(
            id=str(uuid4()),
            deployment=agent.deployment,
            agent=agent.name,
            issued_at=clock.stamp(now),
            not_after=clock.stamp(now + timedelta(seconds=timeout_s)),
            reply_to=self._reply_to,
        )

    async def _send(self, question: Instruction) -> None:
        try:
            # A question whose answer could not come back would only cost the agent work.
            async with asyncio.timeout(_LISTEN_TIMEOUT_S):
                await self._listener.wait_listening()
        except TimeoutError as error:
            raise BrokerAwayError("ask an agent", cause="answers could not come back") from error
        try:
            await self._publisher.publish(question)
        except BrokerError as error:
            raise BrokerAwayError("ask an agent", cause=str(error)) from error

    def _on_answer(self, answer: Answer) -> None:
        result = answer.event.instruction_result
        pending = self._pending.get(result.instruction_id)
        if pending is None or pending.answer.done():
            log.debug("answer_too_late", instruction=result.instruction_id)
            return
        asked = pending.respondent
        source = AgentKey(answer.source.deployment, answer.source.agent)
        if source != asked.agent or (asked.broker_user and answer.sender != asked.broker_user):
            log.warning("answer_from_wrong_sender", agent=asked.agent.name, sender=answer.sender)
            return
        pending.answer.set_result(result)
