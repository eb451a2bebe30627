"""Why a run failed that could not be launched."""

import pytest
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.code_server.errors import CodeServerUnavailableError, DedicatedElsewhereError
from isthmus_agent.errors import (
    AgentError,
    DedicatedServerLostError,
    LocationRefusedError,
    LocationUnavailableError,
    RunRefusedError,
)
from isthmus_agent.hosts.errors import ImageUnavailableError, ServerStartError
from isthmus_agent.instructions.launch_failure import reason_of
from isthmus_agent.instructions.retry import GiveUp, Retry, after_failure

NO_IMAGE = ImageUnavailableError(image="sales:1", problem="no such image")
NO_START = ServerStartError(server="s", problem="no such command")
ELSEWHERE = DedicatedElsewhereError(server="s", cause="attempt 1 of run r")


def unavailable(cause: AgentError | None = None) -> LocationUnavailableError:
    return LocationUnavailableError(location="sales", problem="it is broken", cause=cause)


def lost(*, is_out_of_memory: bool) -> DedicatedServerLostError:
    return DedicatedServerLostError(server="s", how="is gone", is_out_of_memory=is_out_of_memory, stack=())


@pytest.mark.parametrize(
    ("error", "is_dedicated", "reason"),
    [
        (NO_IMAGE, True, telemetry.RUN_REASON_IMAGE_UNAVAILABLE),
        (unavailable(NO_IMAGE), True, telemetry.RUN_REASON_IMAGE_UNAVAILABLE),
        (unavailable(NO_IMAGE), False, telemetry.RUN_REASON_IMAGE_UNAVAILABLE),
        (NO_START, True, telemetry.RUN_REASON_CONTAINER_START_FAILED),
        (unavailable(NO_START), True, telemetry.RUN_REASON_CONTAINER_START_FAILED),
        (unavailable(NO_START), False, telemetry.RUN_REASON_LOCATION_UNAVAILABLE),
        (lost(is_out_of_memory=True), True, telemetry.RUN_REASON_OUT_OF_MEMORY),
        (lost(is_out_of_memory=False), True, telemetry.RUN_REASON_LOCATION_UNAVAILABLE),
        (unavailable(), True, telemetry.RUN_REASON_LOCATION_UNAVAILABLE),
        (RunRefusedError(rule="max_cpus", problem="2 is more than 1"), True, telemetry.RUN_REASON_REFUSED_BY_POLICY),
        (LocationRefusedError(location="l", rule="images", problem="no"), True, telemetry.RUN_REASON_REFUSED_BY_POLICY),
    ],
)
def test_reasons(*, error: AgentError, is_dedicated: bool, reason: int) -> None:
    assert reason_of(error, is_dedicated=is_dedicated) == reason


@pytest.mark.parametrize(
    ("error", "left_s", "decision"),
    [
        (ELSEWHERE, 1.0, Retry(0.0)),
        (ELSEWHERE, 0.0, GiveUp()),
        (CodeServerUnavailableError(server="s", call="StartRun", cause="gone"), 1.0, Retry(0.1)),
        (NO_START, 1.0, GiveUp()),
    ],
)
def test_another_server_is_asked_at_once(error: AgentError, left_s: float, decision: Retry | GiveUp) -> None:
    assert after_failure(error, tries=1, left_s=left_s) == decision
