"""What a location's code runs in."""

from google.protobuf.descriptor import EnumDescriptor
from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import (
    ISOLATION_UNSPECIFIED,
    PULL_POLICY_UNSPECIFIED,
    ContainerLimits,
    ContainerMount,
    Isolation,
    PullPolicy,
)

from isthmus_cli.document import enum_text
from isthmus_cli.view.text import duration_text, size_text


def container_facts(settings: LocationSettings) -> list[tuple[str, str]]:
    """List what the settings say of containers and of where runs execute; what they leave open is empty."""
    container = settings.container
    return [
        ("image", container.image),
        ("pull", _enum(container.pull_policy, unset=PULL_POLICY_UNSPECIFIED, descriptor=PullPolicy.DESCRIPTOR)),
        ("command", " ".join(container.command)),
        ("user", container.user),
        ("networks", ", ".join(container.networks)),
        ("mounts", ", ".join(_mount_text(mount) for mount in container.mounts)),
        ("limits", limits_text(container.limits)),
        ("tmpfs", ", ".join(container.tmpfs)),
        ("root", "writable" if container.is_root_writable else ""),
        ("powers", "all: privileged" if container.is_privileged else ", ".join(container.capabilities)),
        ("stops in", duration_text(container.stop_timeout_s) if container.stop_timeout_s else ""),
        ("isolation", _enum(settings.isolation, unset=ISOLATION_UNSPECIFIED, descriptor=Isolation.DESCRIPTOR)),
        ("standby", str(settings.standby or "")),
        ("sleeps", f"after {duration_text(settings.idle_ttl_s)} without work" if settings.idle_ttl_s else ""),
    ]


def limits_text(limits: ContainerLimits) -> str:
    """Tell limits in words; nothing when there are none."""
    parts = (
        size_text(limits.memory_bytes) if limits.memory_bytes else "",
        f"{limits.cpus:g} CPUs" if limits.cpus else "",
        f"{limits.pids} processes" if limits.pids else "",
    )
    return ", ".join(part for part in parts if part)


def _enum(value: int, *, unset: int, descriptor: EnumDescriptor) -> str:
    return "" if value == unset else enum_text(value, descriptor=descriptor).lower().replace("_", "-")


def _mount_text(mount: ContainerMount) -> str:
    return f"{mount.source} at {mount.target}" + (" (read-only)" if mount.is_read_only else "")
