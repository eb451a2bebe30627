"""The way of a question through the code server: a process asks, and what the attached agent answers comes back."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from isthmus.v1.code_server_pb2 import AttachRequest
from isthmus.v1.instance_pb2 import Changed, InstanceAnswer, InstanceQuery, QueryFailure
from isthmus_code_server.definitions.instance_client import (
    FRAME_HEAD,
    OPTIONAL_TIMEOUT_VARIABLE,
    InstanceClient,
)
from isthmus_code_server.errors import InstanceUnavailableError, QueryRefusedError, UnsupportedInstanceCallError
from isthmus_code_server.runs.instance_gate import InstanceGate
from support.eventually import eventually
from support_instance import attached


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (QueryFailure.KIND_UNAVAILABLE, InstanceUnavailableError),
        (QueryFailure.KIND_UNSUPPORTED, UnsupportedInstanceCallError),
        (QueryFailure.KIND_REFUSED, QueryRefusedError),
    ],
)
async def test_a_failure_is_an_error_with_the_reason(
    gate: InstanceGate, kind: "QueryFailure.Kind.ValueType", error: type[Exception]
) -> None:
    failed = InstanceAnswer(failure=QueryFailure(kind=kind, message="the reason"))
    async with gate.listening(), attached(gate, lambda _: failed, asked=[]):
        with pytest.raises(error, match="the reason"):
            await asyncio.to_thread(InstanceClient().ask, InstanceQuery(), what="something")


async def test_what_the_framework_asks_for_itself_does_not_wait_for_an_agent(gate: InstanceGate) -> None:
    async with gate.listening():
        with pytest.raises(InstanceUnavailableError):
            await asyncio.to_thread(InstanceClient().ask, InstanceQuery(), what="something", is_optional=True)
        # One that waited would take longer than any test may.
        answer = await gate.ask(InstanceQuery(id="q-1", timeout_s=3600, is_optional=True))
    assert answer.failure.kind == QueryFailure.KIND_UNAVAILABLE


@pytest.mark.parametrize(("said", "timeout_s"), [("4", 4.0), ("1000", 10.0), ("-1", 0.0), ("soon", 1.0)])
async def test_who_can_do_without_an_answer_waits_for_it_as_long_as_the_environment_says(
    gate: InstanceGate, monkeypatch: pytest.MonkeyPatch, said: str, timeout_s: float
) -> None:
    monkeypatch.setenv(OPTIONAL_TIMEOUT_VARIABLE, said)
    asked: list[InstanceQuery] = []
    async with gate.listening(), attached(gate, lambda _: InstanceAnswer(changed=Changed()), asked=asked):
        ask = partial(InstanceClient().ask, InstanceQuery(), what="versions", is_optional=True)
        if timeout_s:
            await asyncio.to_thread(ask)
            assert asked[0].timeout_s == timeout_s
        else:
            with pytest.raises(InstanceUnavailableError):
                await asyncio.to_thread(ask)


async def test_a_question_waits_for_an_agent_and_an_answer_ends_the_outage(gate: InstanceGate) -> None:
    asked: list[InstanceQuery] = []
    async with gate.listening(), asyncio.TaskGroup() as tasks:
        query = InstanceQuery(id="q-1", timeout_s=5)
        asking = tasks.create_task(gate.ask(query))
        await asyncio.sleep(0)
        assert not gate.is_attached
        async with attached(gate, lambda _: InstanceAnswer(changed=Changed()), asked=asked):
            assert (await asking).HasField("changed")
            optional = InstanceQuery(id="q-2", timeout_s=5, is_optional=True)
            assert (await gate.ask(optional)).HasField("changed")
    assert [it.id for it in asked] == ["q-1", "q-2"]


async def test_after_a_question_without_an_answer_the_framework_is_not_made_to_wait(gate: InstanceGate) -> None:
    unavailable = InstanceAnswer(failure=QueryFailure(kind=QueryFailure.KIND_UNAVAILABLE, message="away"))
    asked: list[InstanceQuery] = []
    async with gate.listening(), attached(gate, lambda _: unavailable, asked=asked):
        await gate.ask(InstanceQuery(id="q-1", timeout_s=5))
        answer = await gate.ask(InstanceQuery(id="q-2", timeout_s=5, is_optional=True))
    assert answer.failure.kind == QueryFailure.KIND_UNAVAILABLE
    assert [it.id for it in asked] == ["q-1"]


async def test_an_asker_that_hangs_up_takes_its_question_along(gate: InstanceGate) -> None:
    query = InstanceQuery(id="q-1", timeout_s=3600)
    async with gate.listening():
        _, asker = await asyncio.open_unix_connection("\0" + gate.address[1:])
        body = query.SerializeToString()
        asker.write(FRAME_HEAD.pack(len(body)) + body)

        async def silence() -> AsyncIterator[AttachRequest]:
            await asyncio.Event().wait()
            yield AttachRequest()

        attending = gate.attach(silence())
        assert (await anext(attending)).query == query
        again = InstanceQuery(id="q-1", timeout_s=0.01)
        assert "under way" in (await gate.ask(again)).failure.message
        asker.close()

        async def is_forgotten() -> bool:
            return "under way" not in (await gate.ask(again)).failure.message

        await eventually(is_forgotten, within=5)
