"""Looks after connections that lay idle: a server that was restarted meanwhile must not fail the next caller.

SQLAlchemy's own `pool_pre_ping` asks before every use, which is a round trip for each transaction of a busy service.
"""

import time
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

#: A connection is asked whether it is alive once nobody used it for so long, seconds.
_IDLE_S: Final = 1.0
_USED_AT: Final = "isthmus_used_at"


def watch(engine: AsyncEngine) -> None:
    """Make the engine's pool ask a connection that lay idle, and open all anew when it is dead."""
    dialect = engine.dialect

    def on_checkin(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = time.monotonic()

    def on_checkout(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < _IDLE_S:
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as exc:
            # The pool drops what it holds and comes back with a new connection.
            raise InvalidatePoolError from exc

    event.listen(engine.sync_engine, "checkin", on_checkin)
    event.listen(engine.sync_engine, "checkout", on_checkout)
