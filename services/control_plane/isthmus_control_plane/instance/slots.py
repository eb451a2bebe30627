"""Steps that want slots of pools: their questions wait here, and are answered when a slot is theirs.

What is claimed and granted are rows, and rows alone count: a question that is lost, asked twice or abandoned changes
nothing of that, and who asks again keeps its place. Any control plane grants; each knows its own questions.
"""

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from isthmus.v1 import instance_pb2 as pb
from isthmus_broker.errors import BrokerError
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_broker.queries import ReceivedQuery
from isthmus_lifecycle.log import get_logger
from isthmus_store import runs, slot_claims
from isthmus_store.record.queue import SlotClaim
from isthmus_store.record.run import AttemptRef, Run
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import slots
from isthmus_control_plane.dispatching.slots import attempt_of
from isthmus_control_plane.errors import PreconditionError
from isthmus_control_plane.instance.sender import check_sender
from isthmus_control_plane.wake import Wake

log = get_logger(__name__)

#: Questions that wait here at a time; the runs of what is above are told to ask again.
_MOST_WAITING: Final = 2_000
#: What part of the asker's time a question may wait.
_WAITING_SHARE: Final = 0.8


@dataclass(eq=False)
class _Waiter:
    """A question that waits."""

    deployment: str
    asked: frozenset[str]
    wake: Wake = field(default_factory=Wake)
    granted: set[str] = field(default_factory=set)
    #: The attempt asked anew: nobody waits for this answer any more.
    is_over: bool = False


class SlotGranter:
    """Takes claims, grants slots, and lets questions wait for them."""

    def __init__(self, core: Core, *, notices: NoticePublisher) -> None:
        self._core = core
        self._notices = notices
        self._waiting: dict[AttemptRef, _Waiter] = {}

    async def claim(self, received: ReceivedQuery, *, timeout_s: float) -> pb.GrantedSlots:
        """Return those of the claims that have slots, as soon as there are any; none when the time is over.

        Raises:
            PreconditionError: The attempt is not under way at the asking agent.
        """
        deadline = time.monotonic() + timeout_s * _WAITING_SHARE
        query = received.envelope.query
        ref = AttemptRef(query.run.run_id, query.run.attempt)
        asked = frozenset(it.step_key for it in query.claim_slots.claims)
        with self._waits(ref, _Waiter(received.envelope.deployment, asked)) as waiter:
            waiter.granted |= await self._take_down(received, ref, asked=asked)
            while not (waiter.granted or waiter.is_over or len(self._waiting) > _MOST_WAITING):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                await waiter.wake.wait(at_most_s=left_s)
        return pb.GrantedSlots(step_keys=sorted(waiter.granted))

    async def free(self, received: ReceivedQuery) -> None:
        """Take slots and claims back, and give the slots to whoever is next."""
        query, deployment, at = received.envelope.query, received.envelope.deployment, clock.now()
        ref = AttemptRef(query.run.run_id, query.run.attempt)
        async with self._core.database.write() as tx:
            await check_sender(tx, received, core=self._core)
            await slot_claims.lock(tx)
            run = await runs.get(tx, ref.run_id)
            if run is None or not _is_of(run, received):
                return
            tries = [(it.step_key, it.retry_number) for it in query.free_slots.claims]
            freed = await slot_claims.free(tx, ref, tries)
            chosen = await slots.grant(tx, deployment, at=at) if freed else []
        await self._tell_all(chosen, deployment=deployment)
        # Runs may wait in the queue for the same pool.
        self._core.hub.queue.ring()

    async def step(self) -> None:
        """Grant what can be granted to those who wait here, and tell them what others have granted."""
        for deployment in sorted({waiter.deployment for waiter in self._waiting.values()}):
            async with self._core.database.read() as tx:
                claims = await slot_claims.live(tx, deployment)
                is_any_grantable = bool(slots.grantable(claims, await slots.read_pools(tx, deployment)))
            self._tell(claim for claim in claims if claim.granted_at is not None)
            if is_any_grantable:
                async with self._core.database.write() as tx:
                    await slot_claims.lock(tx)
                    chosen = await slots.grant(tx, deployment, at=clock.now())
                await self._tell_all(chosen, deployment=deployment)

    async def _take_down(self, received: ReceivedQuery, ref: AttemptRef, *, asked: Collection[str]) -> set[str]:
        deployment, at = received.envelope.deployment, clock.now()
        async with self._core.database.write() as tx:
            await check_sender(tx, received, core=self._core)
            await slot_claims.lock(tx)
            await _check_under_way(tx, received, ref)
            await _want(tx, received, ref, at=at)
            chosen = await slots.grant(tx, deployment, at=at)
            own = await slot_claims.of_run(tx, ref)
        await self._tell_all([claim for claim in chosen if attempt_of(claim) != ref], deployment=deployment)
        return {claim.step_key for claim in own if claim.granted_at is not None and claim.step_key in asked}

    async def _tell_all(self, granted: Collection[SlotClaim], *, deployment: str) -> None:
        """Tell who waits here, and other control planes if somebody waits there."""
        self._tell(granted)
        if any(attempt_of(claim) not in self._waiting for claim in granted):
            with suppress(BrokerError):
                await self._notices.publish(Notice(freed=frozenset({deployment})))

    def _tell(self, granted: Iterable[SlotClaim]) -> None:
        for claim in granted:
            waiter = self._waiting.get(attempt_of(claim))
            if waiter is not None and claim.step_key in waiter.asked:
                waiter.granted.add(claim.step_key)
                waiter.wake.ring()

    @contextmanager
    def _waits(self, ref: AttemptRef, waiter: _Waiter) -> Iterator[_Waiter]:
        """Let a question wait, in place of an earlier one of the same attempt."""
        earlier = self._waiting.get(ref)
        if earlier is not None:
            earlier.is_over = True
            earlier.wake.ring()
        self._waiting[ref] = waiter
        try:
            yield waiter
        finally:
            if self._waiting.get(ref) is waiter:
                del self._waiting[ref]


def _is_of(run: Run, received: ReceivedQuery) -> bool:
    envelope = received.envelope
    return (run.deployment, run.agent) == (envelope.deployment, envelope.agent)


async def _check_under_way(tx: Transaction, received: ReceivedQuery, ref: AttemptRef) -> None:
    run = await runs.get(tx, ref.run_id)
    if run is None or not _is_of(run, received) or run.attempt != ref.attempt or run.state.is_terminal:
        why = f"attempt {ref.attempt} of run {ref.run_id} is not under way at agent {received.envelope.agent}"
        raise PreconditionError(f"run {ref.run_id}", rule="UNDER_WAY", why=why)


async def _want(tx: WriteTransaction, received: ReceivedQuery, ref: AttemptRef, *, at: datetime) -> None:
    query = received.envelope.query.claim_slots
    known = {it.step_key: it for it in await slot_claims.of_run(tx, ref)}
    asked = {it.step_key: it for it in query.claims}
    has = sum(key in known and known[key].granted_at is not None for key in asked)
    await slot_claims.want(
        tx,
        [
            SlotClaim(
                run_id=ref.run_id,
                attempt=ref.attempt,
                step_key=it.step_key,
                retry_number=it.retry_number,
                deployment=received.envelope.deployment,
                pool=it.pool,
                priority=it.priority,
                wanted_at=at,
                room=max(query.room - has, 0),
            )
            for it in asked.values()
        ],
    )
