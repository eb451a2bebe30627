"""What to do when a code server breaks in the middle of a call: a pure decision."""

from dataclasses import dataclass

from isthmus_agent.code_server.errors import DedicatedElsewhereError
from isthmus_agent.errors import AgentError, TransientAgentError

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0
#: So many servers that are another run's are asked one after another without a pause.
_MOST_AT_ONCE = 5


@dataclass(frozen=True)
class Retry:
    """Ask again."""

    after_s: float


@dataclass(frozen=True)
class GiveUp:
    """Asking again makes no sense, or there is no time for it."""


def after_failure(error: AgentError, *, tries: int, left_s: float) -> Retry | GiveUp:
    """Decide about a failed call.

    Args:
        error: how it failed.
        tries: how often it was tried, this time included.
        left_s: seconds until the answer is of no use.
    """
    wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(tries - 1, 16))
    if isinstance(error, DedicatedElsewhereError) and tries <= _MOST_AT_ONCE and left_s > 0:
        # Another server is asked.
        return Retry(0.0)
    if isinstance(error, TransientAgentError | DedicatedElsewhereError) and wait_s < left_s:
        return Retry(wait_s)
    return GiveUp()
