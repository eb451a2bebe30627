"""Database addresses: what people write, turned into what SQLAlchemy's async engines want."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from isthmus_store.errors import UnsupportedDatabaseError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def parse_address(address: str) -> URL:
    """Return the address with an async driver.

    Raises:
        UnsupportedDatabaseError: for another database, for an in-memory SQLite (its connections would each see a
            database of their own), and for text that is no address.
    """
    try:
        url = make_url(address)
    except ArgumentError as exc:
        raise UnsupportedDatabaseError(scheme=address.partition(":")[0][:40]) from exc
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise UnsupportedDatabaseError(scheme=url.drivername)
    if driver == "sqlite+aiosqlite" and url.database in {None, "", ":memory:"}:
        raise UnsupportedDatabaseError(scheme=f"{url.drivername} in memory")
    return url.set(drivername=driver)
