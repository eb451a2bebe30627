"""What requests about alert policies must look like, and what policies may say."""

import math
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from email.utils import parseaddr
from typing import Final
from urllib.parse import urlsplit

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane import clock
from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.alert_kind import KINDS
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.quiet import DAYS, parse_time, zone
from isthmus_control_plane.validation.request import MAX_PAGE, MAX_QUERY
from isthmus_control_plane.validation.suggestion import unknown

MAX_POLICIES: Final = 500
_MAX_LISTED: Final = 200
#: A year, seconds.
_MOST_S: Final = 366 * 86_400.0
#: Longer than this nothing is gathered, seconds.
_MOST_GATHERED_S: Final = 86_400.0
_MAX_BODY: Final = 64 * 1024
#: Only such variables of the monitor's are filled in: a policy must not be able to send what else it knows.
VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
PREFIX: Final = "ISTHMUS_ALERT_"
_NAME: Final = re.compile(rf"{PREFIX}[A-Z0-9_]+")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://.+", re.IGNORECASE | re.DOTALL)
_LISTS: Final = ("jobs", "locations", "agents", "schedules", "sensors")
_FILTERS: Final = (*_LISTS, "tags", "assets")
_THRESHOLDS: Final = {
    "longer_than": "longer_than_s",
    "deeper_than": "deeper_than",
    "after": "after",
    "below_percent": "below_percent",
}


def sync(request: api.SyncAlertPoliciesRequest) -> list[Violation]:
    """List the faults of a SyncAlertPolicies request."""
    violations = [
        *field.optional_name(request.deployment, field="deployment"),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *field.count(len(request.policies), field="policies", most=MAX_POLICIES),
    ]
    seen: set[str] = set()
    for index, it in enumerate(request.policies[:MAX_POLICIES]):
        at = f"policies[{index}]"
        if it.name in seen:
            violations.append(Violation(f"{at}.name", f"{it.name!r} is the name of a policy before this one, too"))
        seen.add(it.name)
        violations += policy(it, at=at)
    return violations


def policy(it: api.AlertPolicy, *, at: str) -> list[Violation]:
    """List the faults of one policy."""
    return [
        *field.name(it.name, field=f"{at}.name"),
        *field.text(it.description, field=f"{at}.description", max_chars=MAX_QUERY),
        *_kinds(it, at=at),
        *_filters(it, at=at),
        *_thresholds(it, at=at),
        *_paces(it, at=at),
        *_quiet(it, at=at),
        *_receivers(it.to, at=at),
    ]


def of_policy(*, deployment: str, name: str) -> list[Violation]:
    """List the faults of what names a policy."""
    return [*field.optional_name(deployment, field="deployment"), *field.name(name, field="name")]


def mute(request: api.MuteAlertPolicyRequest) -> list[Violation]:
    """List the faults of a MuteAlertPolicy request."""
    return [
        *of_policy(deployment=request.deployment, name=request.name),
        *field.text(request.why, field="why", max_chars=MAX_TEXT),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *field.seconds(request.for_s, field="for_s", most=_MOST_S),
    ]


def history(request: api.ListAlertsRequest) -> list[Violation]:
    """List the faults of a ListAlerts request."""
    violations = field.optional_name(request.deployment, field="deployment")
    violations += field.optional_name(request.policy, field="policy")
    try:
        clock.moment(request.before)
    except (ValueError, OverflowError):
        violations.append(Violation("before", "is no time that a calendar has"))
    if request.page_size > MAX_PAGE:
        violations.append(Violation("page_size", f"must be 1 to {MAX_PAGE}; got {request.page_size:,}"))
    return violations


def _kinds(it: api.AlertPolicy, *, at: str) -> Iterator[Violation]:
    if not it.on:
        yield Violation(f"{at}.on", "is missing: name at least one kind of alert, as in run.failed")
    for index, kind in enumerate(it.on):
        if kind not in KINDS:
            near = get_close_matches(kind, KINDS, n=3, cutoff=0.6)
            hint = unknown("kind of alert", name=kind, known=KINDS)
            yield Violation(f"{at}.on[{index}]", hint if near else f"{hint}: {', '.join(KINDS)}")


def _filters(it: api.AlertPolicy, *, at: str) -> Iterator[Violation]:
    known = [KINDS[kind] for kind in it.on if kind in KINDS]
    for name in _FILTERS:
        if known and getattr(it, name) and not any(name in kind.filters for kind in known):
            yield Violation(f"{at}.{name}", f"restricts none of the kinds of the policy: {', '.join(it.on)}")
    for name in _LISTS:
        yield from field.texts(getattr(it, name), field=f"{at}.{name}", most=_MAX_LISTED, max_chars=MAX_TEXT)
    yield from field.pairs(it.tags, field=f"{at}.tags", most=_MAX_LISTED, max_key=MAX_TEXT, max_value=MAX_TEXT)
    yield from field.text(it.assets, field=f"{at}.assets", max_chars=MAX_QUERY)


def _thresholds(it: api.AlertPolicy, *, at: str) -> Iterator[Violation]:
    known = {name: KINDS[name] for name in it.on if name in KINDS}
    for name, attribute in _THRESHOLDS.items():
        is_said = bool(getattr(it, attribute))
        needing = [kind for kind, what in known.items() if name in what.needs]
        taking = [kind for kind, what in known.items() if name in what.needs | what.takes]
        if needing and not is_said:
            yield Violation(f"{at}.{name}", f"is missing: {' and '.join(needing)} need it")
        elif is_said and known and not taking:
            yield Violation(f"{at}.{name}", f"is of no use to the kinds of the policy: {', '.join(known)}")
    yield from field.seconds(it.longer_than_s, field=f"{at}.longer_than", most=_MOST_S)
    if not (math.isfinite(it.below_percent) and 0 <= it.below_percent <= 100):  # noqa: PLR2004 - percent
        yield Violation(f"{at}.below_percent", f"must be 0 to 100; got {it.below_percent:g}")
    if it.after > 100:  # noqa: PLR2004 - more are not looked at
        yield Violation(f"{at}.after", f"must be 1 to 100; got {it.after:,}")


def _paces(it: api.AlertPolicy, *, at: str) -> Iterator[Violation]:
    yield from field.seconds(it.renotify_s, field=f"{at}.renotify", most=_MOST_S)
    yield from field.seconds(it.wait_s, field=f"{at}.wait", most=_MOST_GATHERED_S)
    yield from field.seconds(it.every_s, field=f"{at}.every", most=_MOST_GATHERED_S)
    if it.renotify_s and not any(KINDS[kind].lasts for kind in it.on if kind in KINDS):
        yield Violation(f"{at}.renotify", "is of no use: none of the kinds of the policy lasts")


def _quiet(it: api.AlertPolicy, *, at: str) -> Iterator[Violation]:
    if not it.HasField("quiet"):
        return
    faults = []
    for name in ("from", "until"):
        try:
            parse_time(getattr(it.quiet, name))
        except ValueError:
            faults.append(Violation(f"{at}.quiet.{name}", 'must be a time of the day, as in "22:00"'))
    for index, day in enumerate(it.quiet.days):
        if day not in DAYS:
            faults.append(Violation(f"{at}.quiet.days[{index}]", f"must be one of {', '.join(DAYS)}; got {day!r}"))
    if not faults:
        try:
            zone(it.quiet.timezone)
        except ValueError:
            faults.append(
                Violation(f"{at}.quiet.timezone", f"must be a zone, as in Europe/Berlin; got {it.quiet.timezone!r}")
            )
    yield from faults


def _receivers(receivers: Sequence[api.AlertReceiver], *, at: str) -> Iterator[Violation]:
    if not receivers:
        yield Violation(f"{at}.to", "is missing: name at least one receiver")
    yield from field.count(len(receivers), field=f"{at}.to", most=20)
    for index, receiver in enumerate(receivers):
        where = f"{at}.to[{index}]"
        match receiver.WhichOneof("kind"):
            case "webhook":
                yield from _webhook(receiver.webhook, at=f"{where}.webhook")
            case "email":
                yield from _email(receiver.email, at=f"{where}.email")
            case "apprise":
                yield from _address(receiver.apprise, at=f"{where}.apprise")
            case _:
                yield Violation(where, "must be one of webhook, email and apprise")


def _webhook(it: api.WebhookReceiver, *, at: str) -> Iterator[Violation]:
    yield from _address(it.url, at=f"{at}.url", schemes=("http", "https"))
    yield from _filled_in(it.secret, at=f"{at}.secret", most=MAX_QUERY)
    yield from _filled_in(it.body, at=f"{at}.body", most=_MAX_BODY)
    yield from field.pairs(it.headers, field=f"{at}.headers", most=50, max_key=MAX_TEXT, max_value=MAX_QUERY)
    for name, value in it.headers.items():
        yield from _filled_in(value, at=f"{at}.headers.{name}", most=MAX_QUERY)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or "\n" in value or "\r" in value:
            yield Violation(f"{at}.headers.{name}", "is no header")


def _email(it: api.EmailReceiver, *, at: str) -> Iterator[Violation]:
    if not it.to:
        yield Violation(f"{at}.to", "is missing: name at least one address")
    for index, address in enumerate(it.to):
        yield from _mail_address(address, at=f"{at}.to[{index}]")
    yield from _mail_address(getattr(it, "from"), at=f"{at}.from")
    yield from _address(it.server, at=f"{at}.server", schemes=("smtp", "smtps"))


def _mail_address(address: str, *, at: str) -> Iterator[Violation]:
    if "@" not in parseaddr(address)[1] or "\n" in address or "\r" in address:
        yield Violation(at, f"must be an address, as in team@example.com; got {field.shown(address)}")


def _address(address: str, *, at: str, schemes: Sequence[str] = ()) -> Iterator[Violation]:
    """Check an address without repeating it: it may carry secrets."""
    yield from _filled_in(address, at=at, most=MAX_QUERY)
    if not address:
        yield Violation(at, "is missing")
    elif VARIABLE.match(address):
        return
    elif schemes and not _is_of(address, schemes):
        yield Violation(at, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}, and name a host")
    elif not _SCHEME.fullmatch(address):
        yield Violation(at, "must be an address, as in slack://…")


def _is_of(address: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc)


def _filled_in(text: str, *, at: str, most: int) -> Iterator[Violation]:
    yield from field.text(text, field=at, max_chars=most)
    for name in VARIABLE.findall(text):
        if not _NAME.fullmatch(name):
            rule = f"names of variables begin with {PREFIX}, so that nothing else of the monitor's can be sent"
            yield Violation(at, f"${{{name[:80]}}} is not filled in: {rule}")
