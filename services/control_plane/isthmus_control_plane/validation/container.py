"""What a location may ask of the containers that its code runs in. Whether it gets it, the agent's owner decides."""

import math
import re
from collections.abc import Iterable
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instruction_pb2 as instruction

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.field import MAX_TEXT

MAX_ENTRIES: Final = 50
MAX_STANDBY: Final = 100
#: Agents of one location.
MAX_REPLICAS: Final = 100
MAX_IDLE_TTL_S: Final = 30 * 86_400.0
MAX_STOP_TIMEOUT_S: Final = 3600.0
MAX_MEMORY_BYTES: Final = 1 << 50
MAX_CPUS: Final = 4096.0
MAX_PIDS: Final = 4_194_304
#: What engines refuse to go below.
MIN_MEMORY_BYTES: Final = 6 * 1024 * 1024
MIN_CPUS: Final = 0.01
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_CAPABILITY: Final = re.compile(r"[A-Z][A-Z_]*")


def location(settings: api.LocationSettings) -> list[Violation]:
    """List the faults of what a location asks for."""
    violations = _container(settings.container)
    if settings.isolation not in instruction.Isolation.values():
        violations.append(Violation("settings.isolation", f"{int(settings.isolation)} is no isolation"))
    if settings.standby > MAX_STANDBY:
        violations.append(Violation("settings.standby", f"must be at most {MAX_STANDBY}; got {settings.standby}"))
    if settings.replicas > MAX_REPLICAS:
        violations.append(Violation("settings.replicas", f"must be at most {MAX_REPLICAS}; got {settings.replicas}"))
    return violations + field.seconds(settings.idle_ttl_s, field="settings.idle_ttl_s", most=MAX_IDLE_TTL_S)


def _container(container: instruction.ContainerSpec) -> list[Violation]:
    at = "settings.container"
    violations = _like(_IMAGE, container.image, field_name=f"{at}.image", rule="the name of an image, as in etl:1.4")
    if container.pull_policy not in instruction.PullPolicy.values():
        violations.append(Violation(f"{at}.pull_policy", f"{int(container.pull_policy)} is no pull policy"))
    return [
        *violations,
        *field.texts(container.command, field=f"{at}.command", most=MAX_ENTRIES, max_chars=MAX_TEXT),
        *_like(_USER, container.user, field_name=f"{at}.user", rule="a user, as in 1000:1000"),
        *_all_like(_NAME, container.networks, field_name=f"{at}.networks", rule="the name of a network"),
        *_mounts(container.mounts),
        *_limits(container.limits),
        *_paths(container.tmpfs, field_name=f"{at}.tmpfs"),
        *_all_like(
            _CAPABILITY, container.capabilities, field_name=f"{at}.capabilities", rule="a capability, as in NET_RAW"
        ),
        *field.seconds(container.stop_timeout_s, field=f"{at}.stop_timeout_s", most=MAX_STOP_TIMEOUT_S),
    ]


def _mounts(mounts: Iterable[instruction.ContainerMount]) -> list[Violation]:
    listed = list(mounts)
    violations = field.count(len(listed), field="settings.container.mounts", most=MAX_ENTRIES)
    seen: set[str] = set()
    for index, mount in enumerate(listed if not violations else ()):
        at = f"settings.container.mounts[{index}]"
        if mount.source.startswith("/"):
            violations += _path(mount.source, field_name=f"{at}.source")
        elif not _NAME.fullmatch(mount.source):
            rule = "must be the name of a volume, or an absolute path of the engine's machine"
            violations.append(Violation(f"{at}.source", f"{rule}; got {field.shown(mount.source)}"))
        violations += _path(mount.target, field_name=f"{at}.target")
        if mount.target in seen:
            violations.append(Violation(f"{at}.target", "is the target of an earlier mount as well"))
        seen.add(mount.target)
    return violations


def _limits(limits: instruction.ContainerLimits) -> list[Violation]:
    at, violations = "settings.container.limits", []
    if limits.memory_bytes and not MIN_MEMORY_BYTES <= limits.memory_bytes <= MAX_MEMORY_BYTES:
        rule = f"must be 0 (the default) or {MIN_MEMORY_BYTES:,} to {MAX_MEMORY_BYTES:,} bytes"
        violations.append(Violation(f"{at}.memory_bytes", f"{rule}; got {limits.memory_bytes:,}"))
    if limits.cpus and not (math.isfinite(limits.cpus) and MIN_CPUS <= limits.cpus <= MAX_CPUS):
        rule = f"must be 0 (the default) or {MIN_CPUS:g} to {MAX_CPUS:g}"
        violations.append(Violation(f"{at}.cpus", f"{rule}; got {limits.cpus:g}"))
    if limits.pids > MAX_PIDS:
        violations.append(Violation(f"{at}.pids", f"must be at most {MAX_PIDS:,}; got {limits.pids:,}"))
    return violations


def _paths(paths: Iterable[str], *, field_name: str) -> list[Violation]:
    listed = list(paths)
    violations = field.count(len(listed), field=field_name, most=MAX_ENTRIES)
    for index, path in enumerate(listed if not violations else ()):
        violations += _path(path, field_name=f"{field_name}[{index}]")
    return violations


def _path(path: str, *, field_name: str) -> list[Violation]:
    """Check a path: absolute and without detours, so that whoever reads it sees where it leads."""
    violations = field.text(path, field=field_name, max_chars=MAX_TEXT)
    if path.rstrip("/") and path.startswith("/") and not {"", ".", ".."} & set(path.strip("/").split("/")):
        return violations
    rule = "must be an absolute path without '.', '..' and double slashes, and not the root"
    return [*violations, Violation(field_name, f"{rule}; got {field.shown(path)}")]


def _all_like(pattern: re.Pattern[str], values: Iterable[str], *, field_name: str, rule: str) -> list[Violation]:
    listed = list(values)
    violations = field.texts(listed, field=field_name, most=MAX_ENTRIES, max_chars=MAX_TEXT)
    for index, value in enumerate(listed if not violations else ()):
        violations += _like(pattern, value, field_name=f"{field_name}[{index}]", rule=rule)
    return violations


def _like(pattern: re.Pattern[str], value: str, *, field_name: str, rule: str) -> list[Violation]:
    """Check a text's form and length; an empty one is a default."""
    violations = field.text(value, field=field_name, max_chars=MAX_TEXT)
    if value and not violations and not pattern.fullmatch(value):
        violations.append(Violation(field_name, f"must be {rule}; got {field.shown(value)}"))
    return violations
