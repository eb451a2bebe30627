"""TerminateRun: ends an attempt, or keeps it from ever starting."""

import asyncio

from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_lifecycle.number import clamped
from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_agent.attempts.ledger import Holding
from isthmus_agent.errors import AgentError
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.launch_failure import canceled
from isthmus_agent.instructions.outcome import Failed, Outcome, Succeeded, Violation
from isthmus_agent.instructions.retry import Retry, after_failure
from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.run_key import RunKey

#: No run may take longer to clean up, seconds, whatever is asked for.
_MOST_GRACE_S = 3600.0
#: How long a code server may take beyond the grace to see a killed process gone, seconds.
_MARGIN_S = 30.0


class TerminateHandler:
    """Ends attempts."""

    def __init__(self, tools: RunTools) -> None:
        """Work with what the handlers of runs share."""
        self._tools = tools

    async def handle(self, body: instruction.TerminateRun, envelope: Envelope) -> Outcome:
        """End the attempt; the outcome is there when its process is gone."""
        key = RunKey.of(body.run)
        if not key.is_valid:
            return Failed(0, violations=(Violation("run.run_id", "This is no run id that an agent would start."),))
        async with self._tools.locks.holding(key.run_id):
            holding = self._tools.ledger.get(key)
            if holding is None or self._fence(holding):
                if not self._was_started(key):
                    # Its launch is still on the way, or will never come: either way it must not start any more.
                    self._tools.tombstones.add(key, not_before=envelope.not_after or 0.0)
                    self._tools.waiting.end(key)
                return Succeeded(telemetry.TerminateAnswer(was_not_running=True))
            self._tools.ledger.mark_cancel_requested(holding.key)
        # The run is not locked meanwhile: who wants it ended sooner must not wait for the grace of who asked before.
        return await self._cancel(holding, grace_s=_grace_s(body))

    def _fence(self, holding: Holding) -> bool:
        folder = self._tools.folder(holding.location, holding.key)
        return self._tools.fence(holding.key, folder=folder, outcome=canceled())

    async def _cancel(self, holding: Holding, *, grace_s: float) -> Outcome:
        timeout_s = (grace_s or self._tools.cancel_grace_s) + _MARGIN_S
        clock = asyncio.get_running_loop().time
        deadline, tries = clock() + timeout_s, 0
        while (held := self._tools.registry.find(holding.incarnation)) is not None:
            tries += 1
            try:
                with held.in_use() as client:
                    response = await client.cancel_run(holding.key, grace_s=grace_s, timeout_s=timeout_s)
                return Succeeded(telemetry.TerminateAnswer(was_not_running=response.was_not_running))
            except AgentError as error:
                decision = after_failure(error, tries=tries, left_s=deadline - clock())
                if not isinstance(decision, Retry):
                    return Failed.of(telemetry.RUN_REASON_LOCATION_UNAVAILABLE, error)
            await asyncio.sleep(decision.after_s)
        # Its server is gone, and the attempt with it; the end is told by whoever closes its journal.
        return Succeeded(telemetry.TerminateAnswer(was_not_running=True))

    def _was_started(self, key: RunKey) -> bool:
        root = self._tools.runs_root
        folders = root.iterdir() if root.is_dir() else ()
        return any(AttemptFolder.for_run(folder, key.to_proto()).is_claimed for folder in folders)


def _grace_s(body: instruction.TerminateRun) -> float:
    return clamped(body.grace_s, least=0.0, most=_MOST_GRACE_S)
