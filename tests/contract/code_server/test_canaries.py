"""What user code holds stays where it is, but for a closed list: a canary in each place, looked for in all that leaves."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message
from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
from isthmus_code_server.definitions.evaluation_log import EvaluationLog
from isthmus_code_server.definitions.port import Definitions, EvaluationPlace, SensorTick
from isthmus_code_server.errors import InvalidRequestError
from support_code_server import PROJECTS, Load, execute, run_request

#: All that may leave of what the project beside this file says. To add a line here is to tell every user.
MAY_LEAVE = {
    "LEAVES-asset-tag",
    "LEAVES-cause",
    "LEAVES-config-default",
    "LEAVES-definition-metadata",
    "LEAVES-description",
    "LEAVES-event-metadata",
    "LEAVES-exception",
    "LEAVES-job-tag",
    "LEAVES-json",
    "LEAVES-log-line",
    "LEAVES-mistyped-input",
    "LEAVES-mistyped-value",
    "LEAVES-op-tag",
    "LEAVES-path",
    "LEAVES-requested-tag",
    "LEAVES-run-config",
    "LEAVES-sensor-error",
    "LEAVES-sensor-line",
}
_STAYS = re.compile(rb"STAYS-[a-z-]+")
_LEAVES = re.compile(r"LEAVES-[a-z-]+")


@pytest.fixture
def secretive(load: Load, monkeypatch: pytest.MonkeyPatch) -> Definitions:
    monkeypatch.setenv("CANARY_ENV", "STAYS-environment")
    return load(module="secretive")


def all_that_leaves(definitions: Definitions) -> Iterator[Message]:
    yield definitions.describe()
    for job in ("loads", "mistypes", "mistakes", "failing", "refresh"):
        yield from execute(definitions, run_request(job))
    yield definitions.evaluate_schedule("nightly", scheduled_at=datetime(2024, 1, 1, tzinfo=UTC))
    log = EvaluationLog()
    with pytest.raises(Exception, match=r"watch|LEAVES-sensor-error") as raised:
        definitions.evaluate_sensor("watch", tick=SensorTick(place=EvaluationPlace(take_line=log.take)))
    yield failure_from_exception(raised.value)
    yield log.evaluation(duration_s=0)
    with pytest.raises(InvalidRequestError) as refused:
        definitions.prepare(run_request("loads", config={"ops": {"load": {"config": {"limits": 3}}}}))
    yield from refused.value.violations


def test_nothing_leaves_but_what_may(secretive: Definitions) -> None:
    left = [message.SerializeToString() for message in all_that_leaves(secretive)]
    assert [found for body in left for found in _STAYS.findall(body)] == []
    named = set(_LEAVES.findall((PROJECTS / "secretive.py").read_text()))
    assert {name for name in named if any(name.encode() in body for body in left)} == MAY_LEAVE


def test_values_of_unknown_types_leave_as_the_names_of_their_types(secretive: Definitions) -> None:
    (table,) = secretive.describe().assets
    values = {entry.label: entry.value for entry in table.metadata}
    opaque = {label: value.opaque.type_name for label, value in values.items() if value.HasField("opaque")}
    assert opaque.pop("origin") == "Attributes"
    assert opaque == {
        "object": "Hidden",
        "dataclass": "Attributes",
        "token": "Token",
        "pair": "Pair",
        "set": "set",
        "bytes": "bytes",
    }
    assert values["nested"].json == '{"deep": ["<Hidden>", {"deeper": "<Token>"}]}'
