"""Faults of a request, in words of the command line."""

import re

#: What a person wrote, for the field of the request that it became; places within a list say nothing to him.
_WRITTEN = {
    "job_name": "",
    "location": "",
    "name": "",
    "run_id": "",
    "parent_run_id": "",
    "run_config": "config",
    "run_config_json": "config",
    "asset_queries": "--assets",
    "asset_selection": "--assets",
    "check_selection": "--assets",
    "op_selection": "--ops",
    "step_keys": "--steps",
    "partition_key": "--partition",
    "tags": "--tag",
    "states": "--state",
    "page_token": "--page",
    "grace_s": "--grace",
    "queued_after": "--since",
}
_FIELD = re.compile(r"(?:settings\.)?([a-z_]+)(?:\[\d+\])?(?:\.path)?(?:\[\d+\])?\.?(.*)", re.DOTALL)
_UNEXPECTED = re.compile(r'Received unexpected config entry "([^"]+)".*?Expected: "(.*)"', re.DOTALL)
_NAME = re.compile(r"(\w+)\??: ")


def violation_text(field: str, *, description: str) -> str:
    """Tell a fault with the option that it is in, and with a near name where the description lists the right ones."""
    found = _FIELD.fullmatch(field)
    head, rest = (found[1], found[2]) if found else (field, "")
    place = " ".join(part for part in (_WRITTEN.get(head, head), rest) if part)
    text = f"{description.rstrip()}{_near_entry(description)}"
    return f"{place}: {text}" if place else text


def _near_entry(description: str) -> str:
    unexpected = _UNEXPECTED.search(description)
    if unexpected is None:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(unexpected[1], _NAME.findall(unexpected[2]), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
