"""Word to the monitors of agents that are new."""

from isthmus_broker.errors import BrokerError
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_lifecycle.log import get_logger

from isthmus_control_plane.key import AgentKey

log = get_logger(__name__)


async def tell_monitors(notices: NoticePublisher, key: AgentKey) -> None:
    """Have an agent's queue of telemetry read at once; monitors look from time to time, too."""
    try:
        await notices.publish(Notice(agents=frozenset({f"{key.deployment}/{key.name}"})))
    except BrokerError as error:
        log.debug("notice_dropped", problem=str(error))
