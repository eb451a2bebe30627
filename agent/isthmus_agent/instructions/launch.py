"""LaunchRun: starts an attempt, once, however often it is delivered."""

import asyncio

from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.topology import is_valid_name
from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder

from isthmus_agent.attempts.ledger import Holding
from isthmus_agent.clock import now
from isthmus_agent.code_server.errors import DedicatedElsewhereError
from isthmus_agent.dedicated.placement import Placement
from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.location import Isolation
from isthmus_agent.errors import AgentError, FilesError, RunEndedError
from isthmus_agent.instructions import fence
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.launch_failure import canceled, draining, failure_of, misplaced, reason_of, rejection
from isthmus_agent.instructions.outcome import Failed, Outcome, Succeeded, Violation
from isthmus_agent.instructions.patience import Patience
from isthmus_agent.instructions.replacement import end_earlier
from isthmus_agent.instructions.retry import Retry, after_failure
from isthmus_agent.instructions.site import Site
from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.run_key import RunKey
from isthmus_agent.servers.held import HeldServer

log = get_logger(__name__)

#: How long a code server may take to check a request and fork, seconds. Asking again is harmless.
_START_TIMEOUT_S = 60.0
#: How long after it was known that the agent's name is ours a code server may still start an attempt, seconds. The broker
#: gives the name to another process when it has heard nothing of this one for some 20.
_START_WITHIN_S = 5.0
#: How long to wait before an attempt is looked at again that another delivery of its launch is about to start, seconds.
_LOOK_AGAIN_S = 0.05


class LaunchHandler:
    """Starts attempts."""

    def __init__(self, tools: RunTools) -> None:
        """Work with what the handlers of runs share."""
        self._tools = tools

    async def handle(self, body: instruction.LaunchRun, envelope: Envelope) -> Outcome:
        """Start the attempt, waiting for its location to load, or for a server of its own, if need be.

        An attempt that is told to have failed is fenced before: whatever is delivered later starts nothing.

        Raises:
            OSError, FilesError: The agent's folder takes no more files. Nothing was decided: handle it again.
        """
        request = body.request
        if violations := request_violations(request):
            return Failed(telemetry.RUN_REASON_INVALID_REQUEST, violations=violations)
        try:
            async with self._tools.waiting.until_ended(RunKey.of(request.run)):
                outcome = await self._start_in_time(request, patience=self._patience(request, envelope))
        except RunEndedError:
            outcome = canceled()
        return await self._fenced(request, outcome) if isinstance(outcome, Failed) else outcome

    async def _start_in_time(self, request: instruction.RunRequest, *, patience: Patience) -> Outcome:
        tries = 0
        while True:
            tries += 1
            try:
                outcome = await self._try(request, patience=patience)
            except FilesError:
                raise
            except AgentError as error:
                decision = after_failure(error, tries=tries, left_s=patience.location_s)
                if not isinstance(decision, Retry):
                    return self._failure(request, error)
                with self._tools.waiting.resting():
                    await asyncio.sleep(decision.after_s)
            else:
                if outcome is not None:
                    return outcome
                # Whoever was faster is at it: what it did is looked at in a moment.
                await asyncio.sleep(_LOOK_AGAIN_S)

    def recall(self, body: instruction.LaunchRun) -> Outcome | None:
        """Return the outcome of an earlier delivery; None if there was none.

        Asked before the deadline is looked at: what was started has not expired.
        """
        request = body.request
        if request_violations(request):
            return None
        key = RunKey.of(request.run)
        return self._recall(key, folder=self._tools.folder(request.location, key))

    async def give_up(self, body: instruction.LaunchRun, failed: Failed) -> Outcome:
        """Fence the attempt if that can be done, and return what became of its launch."""
        if request_violations(body.request):
            return failed
        try:
            return await self._fenced(body.request, failed)
        except OSError as error:
            # Its deadline has passed, so that a launch that is delivered again expires; or nothing can be done at all.
            log.warning("attempt_not_fenced", run_id=body.request.run.run_id, error=str(error))
            return failed

    def _recall(self, key: RunKey, *, folder: AttemptFolder) -> Outcome | None:
        if not folder.is_claimed:
            return None
        if failed := fence.outcome_of(folder):
            return failed
        holding = self._tools.ledger.get(key)
        answer = telemetry.LaunchAnswer(was_started_before=True)
        if holding is not None:
            answer.server, answer.is_dedicated = holding.server, holding.is_dedicated
        return Succeeded(answer)

    def _patience(self, request: instruction.RunRequest, envelope: Envelope) -> Patience:
        # An import that is under way is waited for to its end: only then it is known whether the location will serve. Its
        # server has to start before that, which has its own time.
        location_wait_s = self._tools.location_wait_s + self._tools.registry.load_timeout_s(request.location)
        return Patience.of(envelope, location_wait_s=location_wait_s)

    async def _try(self, request: instruction.RunRequest, *, patience: Patience) -> Outcome | None:
        """Try once; None says that another delivery of the same launch was faster, and it is to be looked at anew."""
        tools, key = self._tools, RunKey.of(request.run)
        folder = tools.folder(request.location, key)
        if settled := self._recall(key, folder=folder) or self._refusal(request, folder=folder):
            return settled
        await end_earlier(tools, key)
        holding = tools.ledger.get(key)
        # Who was asked before may be starting it at this moment: only it may be asked again while it lives.
        held = tools.registry.find(holding.incarnation) if holding is not None else None
        if held is not None:
            return await self._start_on(request, Site(held), holding=holding)
        # The run is not locked meanwhile: its end may be asked for while its location loads.
        with tools.waiting.resting():
            await tools.registry.wait_known(request.location, within_s=patience.location_s)
        placement = tools.registry.placement_of(request)
        if not isinstance(placement, Placement):
            return misplaced(placement)
        if placement.isolation is Isolation.SHARED:
            with tools.waiting.resting():
                held = await tools.registry.serving(request.location, within_s=patience.location_s)
            return await self._start_on(request, Site(held), holding=holding)
        async with tools.placing.holding(key.run_id):
            return await self._start_alone(request, placement.limits, holding=holding, within_s=patience.whole_s)

    async def _start_alone(
        self, request: instruction.RunRequest, limits: Limits, *, holding: Holding | None, within_s: float
    ) -> Outcome | None:
        tools, key = self._tools, RunKey.of(request.run)
        folder = tools.folder(request.location, key)
        if tools.ledger.get(key) != holding or folder.is_claimed:
            return None
        # What is refused anyway needs no server.
        if refusal := self._refusal(request, folder=folder):
            return refusal
        with tools.waiting.resting() as has_come:
            async with tools.registry.dedicated(request.location, key, limits=limits, within_s=within_s) as lease:
                has_come()
                return await self._start_on(request, Site(lease.held, lease), holding=holding)

    async def _start_on(
        self, request: instruction.RunRequest, site: Site, *, holding: Holding | None
    ) -> Outcome | None:
        tools, key = self._tools, RunKey.of(request.run)
        folder = tools.folder(request.location, key)
        async with tools.locks.holding(key.run_id):
            if tools.ledger.get(key) != holding:
                return None
            return self._refusal(request, folder=folder) or await self._start(request, site=site, folder=folder)

    def _refusal(self, request: instruction.RunRequest, *, folder: AttemptFolder) -> Failed | None:
        tools = self._tools
        if tools.tombstones.has(RunKey.of(request.run)):
            return canceled()
        if failed := fence.outcome_of(folder):
            return failed
        if tools.drain.is_on and not folder.is_claimed:
            return draining()
        return None

    async def _start(self, request: instruction.RunRequest, *, site: Site, folder: AttemptFolder) -> Outcome:
        key, held = RunKey.of(request.run), site.held
        # Before it is asked whether the name is ours: a process that is stopped behind that and wakes up when it is
        # another's finds that its code server refuses what it sends then.
        not_after = now(plus_s=_START_WITHIN_S)
        self._tools.holder.check()
        with held.in_use() as client:
            self._tools.ledger.put(
                Holding(
                    key.run_id,
                    key.attempt,
                    request.location,
                    server=held.name,
                    incarnation=held.incarnation,
                    is_dedicated=held.is_dedicated,
                )
            )
            site.keep()
            try:
                response = await client.start_run(request, not_after=not_after, timeout_s=_START_TIMEOUT_S)
            except AgentError as error:
                is_elsewhere = isinstance(error, DedicatedElsewhereError)
                self._forget_unclaimed(key, folder=folder, is_server_gone=is_elsewhere or self._is_gone(held))
                raise
        if response.WhichOneof("result") == "accepted":
            accepted = response.accepted
            return Succeeded(
                telemetry.LaunchAnswer(
                    server=held.name,
                    pid=accepted.pid,
                    was_started_before=accepted.was_started_before,
                    is_dedicated=held.is_dedicated,
                    was_standby=site.was_standby,
                )
            )
        self._forget_unclaimed(key, folder=folder, is_server_gone=True)
        site.give_back()
        return rejection(response.rejected)

    def _is_gone(self, held: HeldServer) -> bool:
        return self._tools.registry.find(held.incarnation) is None

    def _forget_unclaimed(self, key: RunKey, *, folder: AttemptFolder, is_server_gone: bool) -> None:
        if is_server_gone and not folder.is_claimed:
            self._tools.ledger.forget(key)

    def _failure(self, request: instruction.RunRequest, error: AgentError) -> Failed:
        placement = self._tools.registry.placement_of(request)
        is_dedicated = isinstance(placement, Placement) and placement.isolation is Isolation.DEDICATED
        return Failed(reason_of(error, is_dedicated=is_dedicated), failure=failure_of(error))

    async def _fenced(self, request: instruction.RunRequest, failed: Failed) -> Outcome:
        """Fail the launch for good, unless the attempt did start."""
        tools, key = self._tools, RunKey.of(request.run)
        folder = tools.folder(request.location, key)
        # Not while another delivery asks a server: it would find its own attempt claimed, and take it for started.
        async with tools.locks.holding(key.run_id):
            is_first = not folder.is_claimed
            if tools.fence(key, folder=folder, outcome=failed) and is_first:
                # Not what can be read back: on a full disk there is a mark without its text.
                return failed
            return self._recall(key, folder=folder) or failed


def request_violations(request: instruction.RunRequest) -> tuple[Violation, ...]:
    """Return what makes a request unfit to be handed on: its names become names of files here."""
    found = []
    if not RunKey.of(request.run).is_valid:
        found.append(Violation("run.run_id", "Use 1 to 128 letters, digits, dots, - and _, beginning with no sign."))
    if not is_valid_name(request.location):
        found.append(Violation("location", "Name the location that defines the run's job."))
    return tuple(found)
