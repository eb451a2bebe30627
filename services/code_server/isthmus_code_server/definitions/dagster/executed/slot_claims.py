"""The slots of pools that a run's steps claim: asked of the control plane, and waited for beside everything else.

It stands where Dagster's executors have their own count, which asks a database again and again. Here one question names all
steps that wait, and its answer comes when one of them has a slot. Without an answer a step goes on waiting: a limit is a
promise. One that has its slot goes on, whoever is away.
"""

import selectors
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from isthmus.v1.instance_pb2 import ClaimSlots, FreeSlots, InstanceAnswer, InstanceQuery, QueryFailure, SlotClaim
from isthmus.v1.telemetry_pb2 import RunRef

from isthmus_code_server.definitions.open_question import OpenQuestion
from isthmus_code_server.errors import QueryRefusedError

#: How long one question waits for a slot, seconds: what was lost on its way is asked again after that.
_WAIT_S: Final = 15.0
#: How long a slot that is given back is waited for to be taken, seconds.
_FREE_S: Final = 10.0
#: How soon is asked again what was not answered, or answered with nothing at once, seconds.
_PAUSE_S: Final = 1.0
#: A step that waits for longer is said to be blocked, seconds.
_BLOCKED_AFTER_S: Final = 1.0


@dataclass
class _Freed:
    """A slot that is given back, until the control plane has taken it."""

    claim: SlotClaim
    question: OpenQuestion | None = None
    ask_at: float = 0.0


class SlotClaims(InstanceConcurrencyContext):
    """Claims slots for the steps of one attempt.

    An executor calls `hear` before it looks for steps to start, `ask` after it, and looks at `fileno` while it waits.
    """

    def __init__(self, run: RunRef, *, priority: int) -> None:
        # Nothing of the base's beginning: it would ask for settings that are the control plane's affair.
        self._run = run
        self._own_priority = priority
        self._selector = selectors.DefaultSelector()
        #: The claims that have no slot, in the order in which the executor would start their steps.
        self._wanted: dict[str, SlotClaim] = {}
        self._wanted_since: dict[str, float] = {}
        #: Those that have one, until their steps are through.
        self._held: dict[str, SlotClaim] = {}
        #: What was granted and not begun yet.
        self._granted: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._asked: OpenQuestion | None = None
        self._asked_for: tuple[frozenset[str], int] = (frozenset(), 0)
        self._ask_at = 0.0
        self._freed: list[_Freed] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End: the run ends with it, and what it has claimed counts no longer then."""
        for question in (self._asked, *(it.question for it in self._freed)):
            if question is not None:
                self._forget(question)
        self._selector.close()

    def fileno(self) -> int:
        """Return what becomes readable when there is something to hear."""
        return self._selector.fileno()

    # ------------------------------------------------------------------------------------ what Dagster's executors ask

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """Tell whether a step has its slot; one that has none is asked for."""
        if step_key in self._granted:
            self._granted.discard(step_key)
            return True
        if step_key not in self._wanted:
            priority = max(-(2**31), min(self._own_priority + step_priority, 2**31 - 1))
            self._wanted[step_key] = SlotClaim(
                step_key=step_key, retry_number=self._tries[step_key], pool=concurrency_key, priority=priority
            )
            self._wanted_since[step_key] = time.monotonic()
        return False

    def free_step(self, step_key: str) -> None:
        """Give a step's slot back."""
        claim = self._held.pop(step_key, None)
        self._granted.discard(step_key)
        if claim is not None:
            self._tries[step_key] += 1
            self._freed.append(_Freed(claim))
            self._tell_freed()

    def has_pending_claims(self) -> bool:
        """Tell whether any step waits for a slot, or has one and was not started yet."""
        return bool(self._wanted or self._granted)

    def pending_claim_steps(self) -> list[str]:
        """List the steps that are blocked."""
        since = time.monotonic() - _BLOCKED_AFTER_S
        return [step_key for step_key, at in self._wanted_since.items() if at <= since]

    def interval_to_next_pending_claim_check(self) -> float:
        """Return how long there is nothing to do but hear, seconds."""
        if self._asked is not None:
            return self._asked.left_s
        return max(self._ask_at - time.monotonic(), 0.0) if self._wanted else _WAIT_S

    # ---------------------------------------------------------------------------------------------- what ours ask besides

    def hear(self) -> None:
        """Take what was answered.

        Raises:
            QueryRefusedError: The control plane does not let this attempt claim.
        """
        self._hear_freed()
        if self._asked is not None and (answer := self._asked.hear()) is not None:
            self._take(answer)

    def ask(self, *, room: int) -> None:
        """Ask for what is wanted, unless the same is asked already.

        Args:
            room: How many steps could be started now.
        """
        self._tell_freed()
        room = min(max(room - len(self._granted), 0), len(self._wanted))
        wanted = (frozenset(self._wanted), room)
        if self._asked is not None and wanted != self._asked_for:
            self._forget(self._asked)
            self._asked, self._ask_at = None, 0.0
        if self._asked is None and self._wanted and time.monotonic() >= self._ask_at:
            claims = ClaimSlots(claims=self._wanted.values(), room=room)
            self._asked, self._asked_for = self._begin(InstanceQuery(claim_slots=claims), wait_s=_WAIT_S), wanted
            self._ask_at = time.monotonic() + _PAUSE_S

    def wait(self, *, at_most_s: float) -> None:
        """Wait until there is something to hear or to ask."""
        self._selector.select(min(at_most_s, SlotClaims.interval_to_next_pending_claim_check(self)))

    def _take(self, answer: InstanceAnswer) -> None:
        if self._asked is not None:
            self._forget(self._asked)
            self._asked = None
        if answer.failure.kind == QueryFailure.KIND_REFUSED:
            raise QueryRefusedError("slots of pools", cause=answer.failure.message)
        if answer.slots.step_keys:
            self._ask_at = 0.0
        for step_key in answer.slots.step_keys:
            claim = self._wanted.pop(step_key, None)
            if claim is not None:
                self._wanted_since.pop(step_key, None)
                self._held[step_key] = claim
                self._granted.add(step_key)

    def _hear_freed(self) -> None:
        """Hear what became of slots that were given back."""
        for it in list(self._freed):
            answer = it.question.hear() if it.question is not None else None
            if it.question is None or answer is None:
                continue
            self._forget(it.question)
            it.question = None
            if answer.failure.kind != QueryFailure.KIND_UNAVAILABLE:
                self._freed.remove(it)

    def _tell_freed(self) -> None:
        """Tell of slots that are given back; what was not taken is told again."""
        for it in self._freed:
            if it.question is None and time.monotonic() >= it.ask_at:
                it.question = self._begin(InstanceQuery(free_slots=FreeSlots(claims=[it.claim])), wait_s=_FREE_S)
                it.ask_at = time.monotonic() + _PAUSE_S

    def _begin(self, query: InstanceQuery, *, wait_s: float) -> OpenQuestion | None:
        query.id, query.timeout_s = uuid.uuid4().hex, wait_s
        query.run.CopyFrom(self._run)
        with suppress(OSError):
            question = OpenQuestion(query)
            self._selector.register(question, selectors.EVENT_READ)
            return question
        return None

    def _forget(self, question: OpenQuestion) -> None:
        # By hand: a step's process may have the connection as well, and then closing it ends no registration.
        self._selector.unregister(question)
        question.close()


class PatientSlotClaims(SlotClaims):
    """The same for an executor that does one thing at a time: it waits where Dagster asks how long to sleep."""

    def claim(self, concurrency_key: str, step_key: str, step_priority: int = 0) -> bool:
        """See `SlotClaims`."""
        self.hear()
        return super().claim(concurrency_key, step_key, step_priority)

    def interval_to_next_pending_claim_check(self) -> float:
        """Wait for a slot, for a while: there is nothing else to do; then there is nothing to sleep for."""
        self.ask(room=1)
        self.wait(at_most_s=_PAUSE_S)
        return 0.0


def priority_of(tags: Mapping[str, str]) -> int:
    """Return a run's priority; what is no whole number counts as 0."""
    with suppress(ValueError):
        return int(tags.get("dagster/priority", "0"))
    return 0
