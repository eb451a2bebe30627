"""Who may say what: telemetry counts only from the account that the broker verified, about the agent's own affairs."""

from enum import StrEnum

from isthmus_store.record.agent import Agent

from isthmus_monitor.news import Bulletin, News, RunEvent, Vouched


class Doubt(StrEnum):
    """Why a whole batch is dropped."""

    #: Its source is not the one that its routing key names, which is all that the broker checks.
    WRONG_KEY = "wrong_key"
    UNKNOWN_AGENT = "unknown_agent"
    WRONG_SENDER = "wrong_sender"


def doubt(bulletin: Bulletin, *, agent: Agent | None, own_account: str) -> Doubt | None:
    """Return why the batch must not be believed, or None.

    Args:
        bulletin: what was said.
        agent: the agent that it claims to come from, if there is one.
        own_account: the monitor's own account at the broker, which an agent without one of its own shares.
    """
    words = bulletin.routing_key.split(".")
    if tuple(words[:2]) != bulletin.agent:
        return Doubt.WRONG_KEY
    if agent is None:
        return Doubt.UNKNOWN_AGENT
    if bulletin.sender == (agent.broker_user or own_account) or speaks_for_runs_alone(bulletin, agent=agent):
        return None
    return Doubt.WRONG_SENDER


def speaks_for_runs_alone(bulletin: Bulletin, *, agent: Agent) -> bool:
    """Tell whether the account is that of the agent's code servers, which user code may use, and not the agent's own.

    It may say events of runs and that they live, and nothing else, whomever its messages name as their source.
    """
    account = agent.code_server_broker_user
    return bool(account) and account != agent.broker_user and bulletin.sender == account


def may_say(news: News) -> bool:
    """Tell whether an account that speaks for runs alone may say this."""
    return isinstance(news, RunEvent | Vouched)
