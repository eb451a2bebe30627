"""The file that says who is told of what: `policies:`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Self

from isthmus.v1.control_plane_pb2 import (
    AlertPolicy,
    AlertReceiver,
    EmailReceiver,
    QuietHours,
    WebhookReceiver,
)
from isthmus_client.errors import InvalidRequestError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import read_text
from isthmus_cli.yaml_lines import line_of
from isthmus_cli.yaml_text import parse_yaml

_FORM: Final = "docs/alerts.md has the file's form; isthmus alert show NAME prints a policy in it."
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def seconds_of(text: str) -> float:
    """Read a duration of the command line.

    Raises:
        InputError: It is none.
    """
    try:
        return _parsed(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no time.", remedy="Write it as in 30s, 15m, 2h or 1d.") from error


def _parsed(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a time such as 30s, 15m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2]]


def _seconds(value: Any) -> Any:
    """Read a duration: a number of seconds, or a number with a unit."""
    return _parsed(value) if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """Let one text stand for a list of it."""
    return [value] if isinstance(value, str) else value


_Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
_Names = Annotated[list[str], BeforeValidator(_listed)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class WebhookEntry(_Entry):
    """An HTTP receiver."""

    url: str
    secret: str = ""
    #: What is posted; without it, the whole alert as JSON.
    body: str = ""
    headers: dict[str, str] = Field(default_factory=dict)


class EmailEntry(_Entry):
    """Receivers of e-mails, and the server that takes these."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: _Names
    sender: Annotated[str, Field(alias="from")]
    server: str


class ReceiverEntry(_Entry):
    """Where messages go; exactly one of the three."""

    webhook: WebhookEntry | None = None
    email: EmailEntry | None = None
    #: An address as Apprise has them.
    apprise: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if sum(it is not None for it in (self.webhook, self.email, self.apprise)) != 1:
            raise ValueError("must be one of webhook, email and apprise")
        return self

    def to_message(self) -> AlertReceiver:
        """Build the contract's message."""
        if self.webhook is not None:
            return AlertReceiver(webhook=WebhookReceiver(**self.webhook.model_dump()))
        if self.email is not None:
            mail = self.email
            return AlertReceiver(email=EmailReceiver(to=mail.to, server=mail.server, **{"from": mail.sender}))
        return AlertReceiver(apprise=self.apprise or "")


class QuietEntry(_Entry):
    """Times in which nothing is sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    begin: Annotated[str, Field(alias="from")]
    until: str
    timezone: str = ""
    days: _Names = Field(default_factory=list)

    def to_message(self) -> QuietHours:
        """Build the contract's message."""
        return QuietHours(until=self.until, timezone=self.timezone, days=self.days, **{"from": self.begin})


class PolicyEntry(_Entry):
    """Who is told of what."""

    name: str
    description: str = ""
    on: _Names
    jobs: _Names = Field(default_factory=list)
    locations: _Names = Field(default_factory=list)
    agents: _Names = Field(default_factory=list)
    schedules: _Names = Field(default_factory=list)
    sensors: _Names = Field(default_factory=list)
    tags: dict[str, str] = Field(default_factory=dict)
    assets: str = ""
    longer_than: _Duration = 0.0
    deeper_than: Annotated[int, Field(ge=0, lt=2**31)] = 0
    after: Annotated[int, Field(ge=0, lt=2**31)] = 0
    below_percent: float = 0.0
    recovery: bool | None = None
    renotify: _Duration = 0.0
    wait: _Duration | None = None
    every: _Duration | None = None
    quiet: QuietEntry | None = None
    to: list[ReceiverEntry]

    def to_message(self) -> AlertPolicy:
        """Build the contract's message."""
        return AlertPolicy(
            **{field: getattr(self, field) for field in _SAME},
            longer_than_s=self.longer_than,
            renotify_s=self.renotify,
            wait_s=self.wait,
            every_s=self.every,
            quiet=self.quiet.to_message() if self.quiet is not None else None,
            to=[it.to_message() for it in self.to],
        )


#: The fields that the contract has as they are.
_SAME: Final = (
    *("name", "description", "on", "jobs", "locations", "agents", "schedules", "sensors", "tags", "assets"),
    *("deeper_than", "after", "below_percent", "recovery"),
)


class AlertFile(_Entry):
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
class ReadFile:
    """What a file says, and the file itself, to tell faults by its lines."""

    path: Path
    text: str
    policies: Sequence[AlertPolicy]

    def refusal(self, error: InvalidRequestError) -> InputError:
        """Tell the control plane's faults by the file's lines."""
        faults = [_fault(self.text, _parts(it.field), it.description) for it in error.violations]
        return InputError("\n".join([f"{self.path} cannot be used:", *faults]), remedy=_FORM)


def read_alert_file(path: Path) -> ReadFile:
    """Read a file of policies.

    Raises:
        InputError: Names file, line, field and what to write instead.
    """
    text = read_text(path, remedy="Name a YAML file with `policies:`.")
    # YAML 1.1 has `on` for true.
    content = _with_on(parse_yaml(text, origin=str(path)))
    try:
        entries = AlertFile.model_validate({} if content is None else content).policies
    except ValidationError as error:
        faults = [_fault(text, it["loc"], _said(it["type"], it["loc"], it["msg"])) for it in error.errors()]
        raise InputError("\n".join([f"{path} cannot be used:", *faults]), remedy=_FORM) from error
    return ReadFile(path, text, [it.to_message() for it in entries])


def policy_document(policy: AlertPolicy) -> dict[str, Any]:
    """Return a policy as the document that would set it, but for what is hidden of receivers."""
    listed = ("jobs", "locations", "agents", "schedules", "sensors")
    plain = ("assets", "deeper_than", "after", "below_percent")
    times = {
        "longer_than": policy.longer_than_s,
        "renotify": policy.renotify_s,
        "wait": policy.wait_s if policy.HasField("wait_s") else None,
        "every": policy.every_s if policy.HasField("every_s") else None,
    }
    document: dict[str, Any] = {
        "name": policy.name,
        "description": policy.description,
        "on": list(policy.on),
        **{name: list(getattr(policy, name)) for name in listed},
        "tags": dict(policy.tags),
        **{name: getattr(policy, name) for name in plain},
        **{name: f"{value:g}s" for name, value in times.items() if value or (value is not None and name in _PACES)},
        "quiet": _quiet_document(policy.quiet) if policy.HasField("quiet") else {},
        "to": [_receiver_document(it) for it in policy.to],
    }
    if policy.HasField("recovery"):
        document["recovery"] = policy.recovery
    return {name: value for name, value in document.items() if value not in ("", [], {}, 0) or name == "recovery"}


_PACES: Final = frozenset({"wait", "every"})


def _quiet_document(quiet: QuietHours) -> dict[str, Any]:
    found = {"from": getattr(quiet, "from"), "until": quiet.until, "timezone": quiet.timezone, "days": list(quiet.days)}
    return {name: value for name, value in found.items() if value}


def _receiver_document(receiver: AlertReceiver) -> dict[str, Any]:
    match receiver.WhichOneof("kind"):
        case "webhook":
            hook = receiver.webhook
            return {"webhook": {"url": hook.url, **({"secret": hook.secret} if hook.secret else {})}}
        case "email":
            mail = receiver.email
            return {"email": {"to": list(mail.to), "from": getattr(mail, "from"), "server": mail.server}}
        case _:
            return {"apprise": receiver.apprise}


def _with_on(value: Any) -> Any:
    if isinstance(value, dict):
        return {"on" if key is True else key: _with_on(inner) for key, inner in value.items()}
    return [_with_on(inner) for inner in value] if isinstance(value, list) else value


def _parts(field: str) -> tuple[int | str, ...]:
    """Split a field's name, as in policies[0].to[1].webhook.url."""
    found = re.findall(r"[^.\[\]]+|\[\d+\]", field)
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in found)


def _fault(text: str, path: Sequence[int | str], description: str) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    line = line_of(text, path)
    return f"  {f'line {line}, ' if line is not None else ''}{field or 'as a whole'}: {description}"


def _said(kind: str, path: Sequence[int | str], message: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind != "extra_forbidden":
        return message.removeprefix("Value error, ")
    held = [part for part in path[:-1] if isinstance(part, str)]
    model = _MODELS.get(held[-1], AlertFile) if held else AlertFile
    known = [field.alias or name for name, field in model.model_fields.items()]
    near = get_close_matches(str(path[-1]), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(known)}"
    return f"there is no such field; {hint}"
