"""Takes queries from the broker, asks the store, and answers; who may ask what is decided here."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from google.protobuf.message import Message
from isthmus.v1 import instance_pb2 as pb
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_broker.errors import BrokerError, PublishRefusedError, TransientBrokerError
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import QueryAnswerPublisher, QueryConsumer, ReceivedQuery
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import applied_queries, event_numbers, events
from isthmus_store.errors import StoreError, TransientStoreError
from isthmus_store.record.run import AttemptRef
from isthmus_store.transaction import Transaction

from isthmus_control_plane import change, clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import ControlPlaneError, TransientControlPlaneError
from isthmus_control_plane.instance import asset_facts, lookup, pool_facts
from isthmus_control_plane.instance.namespace import name_repositories
from isthmus_control_plane.instance.sender import ForeignError, check_sender
from isthmus_control_plane.instance.shares import Shares
from isthmus_control_plane.instance.slots import SlotGranter
from isthmus_control_plane.validation.bounds import violations
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

_Look = Callable[[Transaction, str, Any], Awaitable[Message]]
_Change = Callable[..., Awaitable[object]]

#: By the query's body: what reads the answer, and the answer's field.
_LOOKUPS: Final[Mapping[str, tuple[_Look, str]]] = {
    "latest_events": (lookup.latest_events, "events"),
    "events": (lookup.find_events, "events"),
    "partitions": (lookup.partitions, "partitions"),
    "asset_keys": (lookup.asset_keys, "asset_keys"),
    "check_executions": (lookup.check_executions, "check_executions"),
    "dynamic_partitions": (lookup.dynamic_partition_keys, "dynamic_partitions"),
    "runs": (lookup.find_runs, "runs"),
    "run_events": (lookup.run_events, "events"),
    "run_tags": (lookup.run_tags, "run_tags"),
    "pools": (pool_facts.pools, "pools"),
    "freshness": (lookup.freshness, "freshness"),
}
#: Those of them whose answers have the numbers of events in them.
_NUMBERED: Final = frozenset({"latest_events", "events", "partitions", "check_executions"})
_CHANGES: Final[Mapping[str, _Change]] = {
    "change_dynamic_partitions": change.partitions,
    "add_run_tags": change.run_tags,
    "report_asset_event": change.asset_event,
}

#: Queries in hand at a time. So many that those of an agent that floods leave room for the others'.
_PREFETCH: Final = 5_000
#: Queries of one agent that are under way at a time; what is above is told to come again.
MAX_QUERIES_EACH: Final = 200
#: The same of claims for slots, which wait long and ask the database for little.
_MAX_CLAIMS_EACH: Final = 1_000
#: Queries that the database is asked for at a time, in turn for each agent. Fewer than its readers: callers need some.
_PLACES: Final = 6
#: The longest that a query is waited with, whatever its asker says, seconds.
MAX_WAIT_S: Final = 60.0
#: How soon an attempt's events are looked for again without having heard of them, seconds; then ever later.
_LOOK_AGAIN_S: Final = 0.5
_LOOK_AGAIN_MOST_S: Final = 5.0
#: How soon a refusal is sent again that the broker did not take, seconds.
_SEND_AGAIN_S: Final = 0.05
#: What part of the asker's time may be used here; the rest is for the way back.
_OWN_SHARE: Final = 0.9
#: What part of it may be spent on waiting for the asker's own events.
_WAITING_SHARE: Final = 0.8


class _BehindError(Exception):
    """The attempt's own events were not stored in time."""


class QueryAnswerer:
    """Answers queries while `run` goes on."""

    def __init__(self, core: Core, *, publisher: Publisher, slots: SlotGranter) -> None:
        self._core = core
        #: Where steps wait for slots of pools.
        self.slots = slots
        self._answers = QueryAnswerPublisher(publisher)
        settings = core.broker.named("isthmus control plane queries")
        self._shares = Shares(places=_PLACES, most_each=MAX_QUERIES_EACH)
        self._claims = Shares(places=_PLACES, most_each=_MAX_CLAIMS_EACH)
        self._boundary = Boundary("instance query")
        self._consumer = QueryConsumer(settings, prefetch=_PREFETCH, handle=self.handle)

    async def run(self) -> None:
        """Answer until cancelled."""
        await self._consumer.run()

    async def handle(self, received: ReceivedQuery) -> None:
        """Answer one query. One from a wrong sender gets no answer; an answer that cannot be sent is dropped."""
        envelope, began_at = received.envelope, time.monotonic()
        timeout_s = min(envelope.query.timeout_s, MAX_WAIT_S)
        with self._boundary.guard(agent=envelope.agent, query=envelope.query.id) as fate:
            answer = await self._answer(received, timeout_s=timeout_s)
        if fate.error is not None:
            text = f"the control plane failed on this question; its log has the details under {envelope.query.id}"
            answer = _failed(envelope.query, pb.QueryFailure.KIND_REFUSED, text)
        left_s = timeout_s - (time.monotonic() - began_at)
        if answer is not None and left_s > 0:
            await self._reply(answer, envelope=envelope, left_s=left_s)

    async def _reply(self, answer: pb.InstanceAnswer, *, envelope: pb.QueryEnvelope, left_s: float) -> None:
        """Send an answer, or in place of one that is too large the word that it is.

        One that cannot be sent now is dropped, as whoever asked asks again.
        """
        try:
            await self._send(answer, envelope=envelope, left_s=left_s)
        except PublishRefusedError as error:
            text = f"the answer is too large: {error} Ask for less at a time."
            await self._insist(_failed(envelope.query, pb.QueryFailure.KIND_REFUSED, text), envelope, left_s=left_s)
        except BrokerError as error:
            log.warning("query_answer_lost", agent=envelope.agent, query=envelope.query.id, problem=str(error))

    async def _insist(self, refusal: pb.InstanceAnswer, envelope: pb.QueryEnvelope, *, left_s: float) -> None:
        """Send a refusal while its asker waits: the broker may have closed our channel over the answer, and opens another."""
        backoff = Backoff(_SEND_AGAIN_S, _LOOK_AGAIN_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while True:
                    with suppress(TransientBrokerError):
                        return await self._send(refusal, envelope=envelope, left_s=left_s)
                    await asyncio.sleep(backoff.next_wait_s())

    async def _send(self, answer: pb.InstanceAnswer, *, envelope: pb.QueryEnvelope, left_s: float) -> None:
        """Send an answer. Raises what `Publisher.publish` raises."""
        await self._answers.publish(answer, deployment=envelope.deployment, agent=envelope.agent, expires_in_s=left_s)

    async def _answer(self, received: ReceivedQuery, *, timeout_s: float) -> pb.InstanceAnswer | None:
        """Return the answer, or why there is none, never anything in between; nothing at all for a wrong sender."""
        query, reasons = received.envelope.query, pb.QueryFailure
        try:
            async with asyncio.timeout(timeout_s * _OWN_SHARE):
                shares = self._claims if query.HasField("claim_slots") else self._shares
                with shares.admitted(_asker(received)):
                    refuse(violations(query))
                    return await self._found(received, timeout_s=timeout_s)
        except ForeignError:
            log.warning("query_from_wrong_sender", agent=received.envelope.agent, sender=received.sender)
            return None
        except _BehindError:
            text = "the run's own events are not stored yet, and without them the answer could be wrong"
            return _failed(query, reasons.KIND_UNAVAILABLE, text)
        except (TransientStoreError, TransientControlPlaneError, TimeoutError) as error:
            return _failed(query, reasons.KIND_UNAVAILABLE, str(error) or "the database did not answer in time")
        except (ControlPlaneError, StoreError) as error:
            return _failed(query, reasons.KIND_REFUSED, str(error))

    async def _found(self, received: ReceivedQuery, *, timeout_s: float) -> pb.InstanceAnswer:
        query = received.envelope.query
        kind = query.WhichOneof("body") or ""
        if kind in _LOOKUPS:
            return await self._look(received, kind=kind, timeout_s=timeout_s)
        if kind in _CHANGES:
            return await self._change(received, kind=kind)
        if kind == "asset_facts":
            return await self._facts(received)
        if kind == "claim_slots":
            granted = await self.slots.claim(received, timeout_s=timeout_s)
            return pb.InstanceAnswer(query_id=query.id, slots=granted)
        if kind == "free_slots":
            await self.slots.free(received)
            return pb.InstanceAnswer(query_id=query.id, changed=pb.Changed())
        text = "the control plane does not know this question: it is older than the code server"
        return _failed(query, pb.QueryFailure.KIND_UNSUPPORTED, text)

    async def _look(self, received: ReceivedQuery, *, kind: str, timeout_s: float) -> pb.InstanceAnswer:
        """Read the answer, once the asking attempt's own events are stored: a run reads what it wrote.

        Raises:
            _BehindError: They were not in time.
        """
        query = received.envelope.query
        look, field = _LOOKUPS[kind]
        answer = pb.InstanceAnswer(query_id=query.id)
        backoff = Backoff(_LOOK_AGAIN_S, _LOOK_AGAIN_MOST_S)
        deadline = time.monotonic() + timeout_s * _WAITING_SHARE
        with self._core.hub.run(query.run.run_id) as wake:
            while True:
                async with self._shares.place(_asker(received)), self._core.database.read() as tx:
                    if _goes_on_by_number(query, kind=kind):
                        await event_numbers.hold_still(tx)
                    await check_sender(tx, received, core=self._core)
                    if not query.after_seq or await _is_stored(tx, query.run, seq=query.after_seq):
                        found = await look(tx, received.envelope.deployment, getattr(query, kind))
                        getattr(answer, field).CopyFrom(found)
                        await name_repositories(tx, answer.runs.runs, core=self._core)
                        return answer
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise _BehindError
                await wake.wait(at_most_s=min(left_s, backoff.next_wait_s()))

    async def _facts(self, received: ReceivedQuery) -> pb.InstanceAnswer:
        """Read what is known of many assets, all at the same moment."""
        envelope = received.envelope
        async with self._shares.place(_asker(received)), self._core.database.read() as tx:
            await event_numbers.hold_still(tx)
            await check_sender(tx, received, core=self._core)
            found = await asset_facts.find(tx, envelope.deployment, envelope.query.asset_facts, core=self._core)
            await name_repositories(tx, found.runs, core=self._core)
        return pb.InstanceAnswer(query_id=envelope.query.id, asset_facts=found)

    async def _change(self, received: ReceivedQuery, *, kind: str) -> pb.InstanceAnswer:
        query, at = received.envelope.query, clock.now()
        async with self._shares.place(_asker(received)), self._core.database.write() as tx:
            await check_sender(tx, received, core=self._core)
            if await applied_queries.is_new(tx, query.id, at=at):
                await _CHANGES[kind](tx, received.envelope.deployment, getattr(query, kind), at=at)
        if kind == "report_asset_event":
            self._core.hub.assets_changed()
        return pb.InstanceAnswer(query_id=query.id, changed=pb.Changed())


def _asker(received: ReceivedQuery) -> tuple[str | None, str, str]:
    """Return whose share a query takes: the verified sender's, so that nobody uses up another's."""
    return received.sender, received.envelope.deployment, received.envelope.agent


def _goes_on_by_number(query: pb.InstanceQuery, *, kind: str) -> bool:
    """Tell whether who asks may go on after the newest event of the answer: a sensor does, and whoever says after which."""
    if kind not in _NUMBERED:
        return False
    return not query.HasField("run") or bool(getattr(getattr(query, kind), "after_id", 0))


async def _is_stored(tx: Transaction, ref: RunRef, *, seq: int) -> bool:
    known = await events.attempts(tx, [ref.run_id])
    attempt = known.get(AttemptRef(ref.run_id, ref.attempt))
    return attempt is not None and attempt.last_seq >= seq


def _failed(query: pb.InstanceQuery, kind: "pb.QueryFailure.Kind.ValueType", text: str) -> pb.InstanceAnswer:
    log.info("query_not_answered", query=query.id, kind=pb.QueryFailure.Kind.Name(kind), problem=text)
    return pb.InstanceAnswer(query_id=query.id, failure=pb.QueryFailure(kind=kind, message=text))
