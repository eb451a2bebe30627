"""The files that say who is told of what: `policies:` of a file of their own, `alerts:` of a project's file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from isthmus.v1.control_plane_pb2 import AlertPolicy
from isthmus_client.errors import InvalidRequestError
from pydantic import BaseModel, Field, ValidationError

from isthmus_cli.alert_entry import EmailEntry, Entry, PolicyEntry, QuietEntry, ReceiverEntry, WebhookEntry
from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import field_text, read_text, unknown_field_text
from isthmus_cli.yaml_lines import line_of
from isthmus_cli.yaml_text import parse_yaml

#: The section of a project's file.
_SECTION: Final = "alerts"
_OWN_SECTION: Final = "policies"
_FORM: Final = "docs/alerts.md has the file's form; isthmus alert show NAME prints a policy in it."


class AlertFile(Entry):
    """A whole file."""

    policies: list[PolicyEntry] = Field(default_factory=list)


_MODELS: Final[dict[str, type[BaseModel]]] = {
    "policies": PolicyEntry,
    "to": ReceiverEntry,
    "webhook": WebhookEntry,
    "email": EmailEntry,
    "quiet": QuietEntry,
}


@dataclass(frozen=True)
class Origin:
    """Where policies were read, to tell faults by its lines."""

    path: Path
    text: str
    #: The name of the list that they stand in.
    section: str

    def refusal(self, faults: Sequence[tuple[Sequence[int | str], str]]) -> InputError:
        """Tell faults: where each is, and what it is."""
        said = [self._line(path, description) for path, description in faults]
        return InputError("\n".join([f"{self.path} cannot be used:", *said]), remedy=_FORM)

    def _line(self, path: Sequence[int | str], description: str) -> str:
        here = (self.section, *path[1:]) if path[:1] == (_OWN_SECTION,) else tuple(path)
        line = line_of(self.text, here)
        return f"  {f'line {line}, ' if line is not None else ''}{field_text(here) or 'as a whole'}: {description}"


@dataclass(frozen=True)
class ReadPolicies:
    """What a file says of policies."""

    origin: Origin
    policies: Sequence[AlertPolicy]

    def refusal(self, error: InvalidRequestError) -> InputError:
        """Tell the control plane's faults by the file's lines."""
        return self.origin.refusal([(_parts(it.field), it.description) for it in error.violations])


def read_alert_file(path: Path) -> ReadPolicies:
    """Read a file of policies.

    Raises:
        InputError: Names file, line, field and what to write instead.
    """
    text = read_text(path, remedy="Name a YAML file with `policies:`.")
    content = parse_yaml(text, origin=str(path))
    return _read({} if content is None else content, origin=Origin(path, text, _OWN_SECTION))


def parse_alerts(said: Any, *, path: Path, text: str) -> ReadPolicies:
    """Return the policies that a project's file has.

    Args:
        said: What stands in its section of them, with its variables filled in.
        path: The file.
        text: The file, as it was written.

    Raises:
        InputError: Names file, line, field and what to write instead.
    """
    # A section with nothing in it says that there are to be none.
    policies = said if said is not None else []
    return _read({_OWN_SECTION: policies}, origin=Origin(path, text, _SECTION))


def _read(content: Any, *, origin: Origin) -> ReadPolicies:
    try:
        # YAML 1.1 has `on` for true.
        entries = AlertFile.model_validate(_with_on(content)).policies
    except ValidationError as error:
        faults = [(it["loc"], _said(it["type"], it["loc"], it["msg"])) for it in error.errors()]
        raise origin.refusal(faults) from error
    return ReadPolicies(origin, [it.to_message() for it in entries])


def _with_on(value: Any) -> Any:
    if isinstance(value, dict):
        return {"on" if key is True else key: _with_on(inner) for key, inner in value.items()}
    return [_with_on(inner) for inner in value] if isinstance(value, list) else value


def _parts(field: str) -> tuple[int | str, ...]:
    """Split a field's name, as in policies[0].to[1].webhook.url."""
    found = re.findall(r"[^.\[\]]+|\[\d+\]", field)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in found)


def _said(kind: str, path: Sequence[int | str], message: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind != "extra_forbidden":
        return message.removeprefix("Value error, ")
    held = [part for part in path[:-1] if isinstance(part, str)]
    model = _MODELS.get(held[-1], AlertFile) if held else AlertFile
    known = [field.alias or name for name, field in model.model_fields.items()]
    return unknown_field_text(str(path[-1]), known=known)
