"""What SQLite reads for the statements of a block."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_WHOLE = re.compile(r"SCAN (\w+)\b(?! USING INDEX)")


@contextmanager
def whole_reads() -> Iterator[list[tuple[str, str]]]:
    """Give, once the block is over, each table that a statement read from end to end, with the statement."""
    found: list[tuple[str, str]] = []

    def look(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        parameters, _, is_of_many = rest
        if connection.dialect.name != "sqlite" or statement.split(maxsplit=1)[0] not in {"SELECT", "DELETE", "UPDATE"}:
            return
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters[0] if is_of_many else parameters)
        read = (_WHOLE.match(row[3]) for row in cursor.fetchall())
        found.extend((match[1], statement) for match in read if match)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", look)
