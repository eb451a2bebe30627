"""What receivers' texts stand for: variables of the environment, and an alert's own words. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from isthmus_monitor.errors import WebhookError

#: Only such variables are filled in: a policy must not be able to send what else this process knows.
PREFIX: Final = "ISTHMUS_ALERT_"
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_WORD: Final = re.compile(r"\{\{\s*([a-z_.]+)\s*\}\}")


def filled_in(text: str, environment: Mapping[str, str]) -> str:
    """Put variables' values in the place of `${ISTHMUS_ALERT_…}`.

    Raises:
        WebhookError: One is not set, or is none that may be sent; the text names it.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith(PREFIX) or name not in environment:
            raise WebhookError(detail=f"the monitor's environment has no {name}")
        return environment[name]

    return _VARIABLE.sub(value, text)


def body_of(template: str, payload: str) -> str:
    """Put an alert's words in the place of `{{title}}` and others, as they stand within a JSON text.

    A dot goes deeper, as in `{{data.run_id}}`; what the alert does not have is empty.
    """
    if not template:
        return payload
    alert: Mapping[str, Any] = json.loads(payload)
    return _WORD.sub(lambda match: _word(alert, match[1]), template)


def _word(alert: Mapping[str, Any], path: str) -> str:
    found: Any = alert
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    if isinstance(found, str):
        return json.dumps(found, ensure_ascii=False)[1:-1]
    return json.dumps(found, ensure_ascii=False)
