"""Text that UTF-8 cannot hold: halves of surrogate pairs, as in file names that are no UTF-8 themselves."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry


def encodable(text: str) -> str:
    """Return the text with what cannot be encoded written as an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def encodable_entry(entry: "EventLogEntry") -> "EventLogEntry":
    """Return an entry with every text in it made encodable."""
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import deserialize_value, serialize_value

    cleaned = _cleaned(json.loads(serialize_value(entry)))
    return deserialize_value(json.dumps(cleaned), EventLogEntry)


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case list():
            return [_cleaned(item) for item in value]
        case dict():
            return {encodable(key): _cleaned(item) for key, item in value.items()}
    return value
