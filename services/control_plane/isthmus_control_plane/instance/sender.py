"""Who may ask: the broker account of the agent that a query names."""

from isthmus_broker.queries import ReceivedQuery
from isthmus_store import agents
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core


class ForeignError(Exception):
    """The broker did not verify the sender as the agent that the query names."""


async def check_sender(tx: Transaction, received: ReceivedQuery, *, core: Core) -> None:
    """Look whether a query is its agent's own.

    Raises:
        ForeignError: It is not.
    """
    envelope = received.envelope
    agent = await agents.get(tx, deployment=envelope.deployment, name=envelope.agent)
    if agent is None or received.sender != (agent.broker_user or core.broker.user):
        raise ForeignError
