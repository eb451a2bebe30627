"""What requests about the queue must look like by themselves."""

from collections.abc import Mapping
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store.record.queue import PauseKind
from isthmus_store.retry.policy import MOST_BACKOFF_S, MOST_RETRIES, FailureClass

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.request import MAX_TAG_VALUE

#: The contract's kinds of pauses.
PAUSE_KINDS: Final[Mapping[int, PauseKind]] = {
    api.PAUSE_KIND_DEPLOYMENT: PauseKind.DEPLOYMENT,
    api.PAUSE_KIND_QUEUE: PauseKind.QUEUE,
    api.PAUSE_KIND_LOCATION: PauseKind.LOCATION,
    api.PAUSE_KIND_AGENT: PauseKind.AGENT,
    api.PAUSE_KIND_POOL: PauseKind.POOL,
}
_NAMELESS: Final = frozenset({PauseKind.DEPLOYMENT, PauseKind.QUEUE})
MAX_LIMITS: Final = 200
#: The longest time that can be allowed, seconds: ten years.
MOST_TIME_S: Final = 10 * 366 * 86_400.0
#: The classes of failures that rules can tell apart.
_CLASSES: Final = frozenset(it.value for it in FailureClass if it is not FailureClass.REQUEST)
MAX_NAMED: Final = 5_000


def of_deployment(deployment: str) -> list[Violation]:
    """List the faults of a request that names a deployment alone."""
    return field.optional_name(deployment, field="deployment")


def set_queue_settings(request: api.SetQueueSettingsRequest) -> list[Violation]:
    """List the faults of a SetQueueSettings request."""
    settings = request.settings
    return [
        *field.optional_name(request.deployment, field="deployment"),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *field.count(len(settings.locations), field="settings.locations", most=MAX_NAMED),
        *(it for name in settings.locations for it in field.name(name, field="settings.locations")),
        *field.count(len(settings.tags), field="settings.tags", most=MAX_LIMITS),
        *(it for index, tag in enumerate(settings.tags) for it in _tag(tag, at=f"settings.tags[{index}]")),
        *field.count(len(settings.pools.limits), field="settings.pools.limits", most=MAX_NAMED),
        *(it for name in settings.pools.limits for it in _named(name, at="settings.pools.limits")),
        *_run_retries(settings.run_retries, at="settings.run_retries"),
        *_run_timeouts(settings.run_timeouts, at="settings.run_timeouts"),
    ]


def _run_retries(retries: api.RunRetries, *, at: str) -> list[Violation]:
    violations = field.seconds(retries.backoff_s, field=f"{at}.backoff_s", most=MOST_BACKOFF_S)
    violations += field.seconds(retries.max_backoff_s, field=f"{at}.max_backoff_s", most=MOST_BACKOFF_S)
    for name in sorted(set(retries.by_class) - _CLASSES):
        violations.append(
            Violation(f"{at}.by_class[{name}]", f"is no class of failures: {', '.join(sorted(_CLASSES))}")
        )
    for name, number in {"max_retries": retries.max_retries, **retries.by_class}.items():
        if number > MOST_RETRIES:
            violations.append(Violation(f"{at}.{name}", f"must be at most {MOST_RETRIES:,}"))
    return violations


def _run_timeouts(timeouts: api.RunTimeouts, *, at: str) -> list[Violation]:
    allowed = {"start_s": timeouts.start_s, "cancel_s": timeouts.cancel_s, "max_runtime_s": timeouts.max_runtime_s}
    return [
        it for name, value in allowed.items() for it in field.seconds(value, field=f"{at}.{name}", most=MOST_TIME_S)
    ]


def pause(request: api.PauseRequest) -> list[Violation]:
    """List the faults of a Pause request."""
    return [
        *_target(request.deployment, kind=request.kind, name=request.name),
        *field.text(request.why, field="why", max_chars=MAX_TEXT),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def resume(request: api.ResumeRequest) -> list[Violation]:
    """List the faults of a Resume request."""
    return [
        *_target(request.deployment, kind=request.kind, name=request.name),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def _target(deployment: str, *, kind: int, name: str) -> list[Violation]:
    violations = field.optional_name(deployment, field="deployment")
    known = PAUSE_KINDS.get(kind)
    if known is None:
        return [*violations, Violation("kind", "must say what is paused: deployment, queue, location, agent or pool")]
    if known in _NAMELESS:
        return violations + ([Violation("name", f"must be empty: a {known.value.lower()} has none")] if name else [])
    return violations + _named(name, at="name")


def _tag(tag: api.TagLimit, *, at: str) -> list[Violation]:
    violations = _named(tag.key, at=f"{at}.key")
    violations += field.text(tag.value, field=f"{at}.value", max_chars=MAX_TAG_VALUE)
    if tag.HasField("value") and tag.per_value:
        violations.append(Violation(f"{at}.per_value", "must be left out beside a value: there is one value then"))
    return violations


def _named(name: str, *, at: str) -> list[Violation]:
    return field.text(name, field=at, max_chars=MAX_TEXT) if name else [Violation(at, "is missing")]
