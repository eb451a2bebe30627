"""Alert policies as a person writes them."""

from typing import Annotated, Any, Final, Self

from isthmus.v1.control_plane_pb2 import (
    AlertPolicy,
    AlertReceiver,
    EmailReceiver,
    QuietHours,
    WebhookReceiver,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from isthmus_cli.duration import parse_duration


def _seconds(value: Any) -> Any:
    """Read a duration: a number of seconds, or a number with a unit."""
    return parse_duration(value) if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """Let one text stand for a list of it."""
    return [value] if isinstance(value, str) else value


_Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
_Names = Annotated[list[str], BeforeValidator(_listed)]


class Entry(BaseModel):
    """A part of a file: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class WebhookEntry(Entry):
    """An HTTP receiver."""

    url: str
    secret: str = ""
    #: What is posted; without it, the whole alert as JSON.
    body: str = ""
    headers: dict[str, str] = Field(default_factory=dict)


class EmailEntry(Entry):
    """Receivers of e-mails, and the server that takes these."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: _Names
    sender: Annotated[str, Field(alias="from")]
    server: str


class ReceiverEntry(Entry):
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


class QuietEntry(Entry):
    """Times in which nothing is sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    begin: Annotated[str, Field(alias="from")]
    until: str
    timezone: str = ""
    days: _Names = Field(default_factory=list)

    def to_message(self) -> QuietHours:
        """Build the contract's message."""
        return QuietHours(until=self.until, timezone=self.timezone, days=self.days, **{"from": self.begin})


class PolicyEntry(Entry):
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
