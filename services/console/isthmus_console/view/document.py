"""JSON documents as pages show them. Pure."""

import json


def indented(text: str) -> str:
    """Write a JSON document over several lines; what is none as it came."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
