"""Word to the other services of what was decided here: each looks by itself from time to time, too."""

from collections.abc import Iterable

from isthmus_broker.errors import BrokerError
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_lifecycle.log import get_logger

from isthmus_control_plane.key import AgentKey, LocationKey

log = get_logger(__name__)


async def tell_monitors(notices: NoticePublisher, key: AgentKey) -> None:
    """Have an agent's queue of telemetry read at once; monitors look from time to time, too."""
    try:
        await notices.publish(Notice(agents=frozenset({f"{key.deployment}/{key.name}"})))
    except BrokerError as error:
        log.debug("notice_dropped", problem=str(error))


async def tell_leader(notices: NoticePublisher, places: Iterable[LocationKey]) -> None:
    """Wake the control plane that leads, which may be another one, for what was decided about these locations."""
    try:
        await notices.publish(Notice(locations=frozenset(f"{it.deployment}/{it.name}" for it in places)))
    except BrokerError as error:
        log.info("decision_not_told", problem=str(error))
