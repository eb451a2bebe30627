"""What the agent's owner allows containers: pure judgements. Without a rule, what would give away the machine is refused."""

import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from posixpath import normpath

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from isthmus_agent.desired.container import ContainerSpec, Limits, Mount
from isthmus_agent.policy.verdict import Allowed, Refused, Verdict, first_refusal

#: Networks that are no networks: the machine's own, and another container's. A wildcard does not mean them.
_NO_NETWORK = re.compile(r"^(host|container:.*)$")
_VOLUME_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
#: Whoever can talk to one of these is root on the machine.
_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock")
_SOCKET_NAMES = frozenset(PurePosixPath(path).name for path in _SOCKETS)
#: What containers have that were started without a word about it: none of it reaches out of a container.
USUAL_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


class ContainerPolicy(BaseModel):
    """The rules for containers, a part of the policy file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Images that may be started, with shell wildcards; all when left out.
    images: tuple[str, ...] | None = None
    #: Folders of the engine's machine and names of volumes, these with shell wildcards, that containers may be given.
    #: A folder is meant alone; `/srv/data/*` means all that lie below it. Left out: no folder, and the volumes that carry the
    #: label `isthmus.usable=true`, as one does that is new with the location.
    mounts: tuple[str, ...] | None = None
    #: Networks, with shell wildcards; the agent's own and the engine's `bridge` by their full names alone. Left out: those two,
    #: and the networks that carry the label `isthmus.usable=true`.
    networks: tuple[str, ...] | None = None
    #: Users, as they are asked for, with shell wildcards; "" for the image's own. All when left out.
    users: tuple[str, ...] | None = None
    #: Capabilities; the harmless ones when left out.
    capabilities: tuple[str, ...] | None = None
    #: Whether containers may be privileged: those are root on the machine.
    privileged: bool = False
    #: The most memory that a container may use. One that asks for none gets the agent's default, or this if that is less.
    max_memory: ByteSize | None = Field(default=None, gt=0)
    #: The most processors that a container may use; the same holds for one that asks for none.
    max_cpus: float | None = Field(default=None, gt=0)
    #: The most processes and threads that a container may have; the same holds for one that asks for none.
    max_pids: int | None = Field(default=None, gt=0)


def judge_container(container: ContainerSpec, *, policy: ContainerPolicy) -> Verdict:
    """Say whether a container may be started."""
    return first_refusal(
        [
            _judge_privileged(container, is_allowed=policy.privileged),
            _judge_image(container.image, allowed=policy.images),
            *(_judge_mount(mount, allowed=policy.mounts) for mount in container.mounts),
            *(_judge_network(network, allowed=policy.networks) for network in container.networks),
            *(_judge_capability(name, allowed=policy.capabilities) for name in container.capabilities),
            _judge_user(container, allowed=policy.users),
            judge_limits(container.limits, policy=policy),
        ]
    )


def judge_limits(limits: Limits, *, policy: ContainerPolicy) -> Verdict:
    """Say whether a container may use so much; 0 asks for nothing."""
    asked: tuple[tuple[str, float, float | None], ...] = (
        ("max_memory", limits.memory_bytes, policy.max_memory),
        ("max_cpus", limits.cpus, policy.max_cpus),
        ("max_pids", limits.pids, policy.max_pids),
    )
    for rule, wanted, most in asked:
        if most is not None and wanted > most:
            return Refused(rule, f"{wanted:,g} is more than {most:,g}")
    return Allowed()


def default_limits(defaults: Limits, *, policy: ContainerPolicy) -> Limits:
    """Return what containers get that ask for nothing: the agent's defaults, but never more than the most."""
    return Limits(
        memory_bytes=int(_least(defaults.memory_bytes, policy.max_memory)),
        cpus=_least(defaults.cpus, policy.max_cpus),
        pids=int(_least(defaults.pids, policy.max_pids)),
    )


def _least(default: float, most: float | None) -> float:
    """Return the lesser of two limits, where 0 and None are none at all."""
    return min((limit for limit in (default, most) if limit), default=0)


def _judge_privileged(container: ContainerSpec, *, is_allowed: bool) -> Verdict:
    if container.is_privileged and not is_allowed:
        return Refused("privileged", "privileged containers are root on the machine")
    return Allowed()


def _judge_image(image: str, *, allowed: tuple[str, ...] | None) -> Verdict:
    if allowed is None or not image or _is_matched(image, allowed):
        return Allowed()
    return Refused("images", f"the image {image} matches nothing in the list")


def _judge_mount(mount: Mount, *, allowed: tuple[str, ...] | None) -> Verdict:
    if mount.is_host_path:
        return _judge_folder(_normal(mount.source), allowed=allowed or ())
    if not _VOLUME_NAME.fullmatch(mount.source):
        return Refused("mounts", f"{mount.source!r} is neither an absolute path nor the name of a volume")
    if allowed is None or _is_matched(mount.source, allowed):
        return Allowed()
    return Refused("mounts", f"the volume {mount.source} matches nothing in the list")


def _judge_folder(path: PurePosixPath, *, allowed: tuple[str, ...]) -> Verdict:
    if path.name in _SOCKET_NAMES or any(PurePosixPath(socket).is_relative_to(path) for socket in _SOCKETS):
        return Refused("mounts", f"{path} is or holds a container engine's socket, which no list can allow")
    if any(_covers(entry, path) for entry in allowed if entry.startswith("/")):
        return Allowed()
    return Refused("mounts", f"the folder {path} is not in the list")


def _covers(entry: str, path: PurePosixPath) -> bool:
    """Whether an entry of the list means a folder.

    Without `/*` it means none below: there, user code may have made a link to anywhere, which the engine would follow.
    """
    if entry.endswith("/*"):
        folder = _normal(entry.removesuffix("/*") or "/")
        return path != folder and path.is_relative_to(folder)
    return path == _normal(entry)


def _judge_network(network: str, *, allowed: tuple[str, ...] | None) -> Verdict:
    if _NO_NETWORK.fullmatch(network):
        # Only by its full name.
        is_allowed = network in (allowed or ())
    else:
        is_allowed = allowed is None or _is_matched(network, allowed)
    return Allowed() if is_allowed else Refused("networks", f"the network {network} is not in the list")


def _judge_capability(name: str, *, allowed: tuple[str, ...] | None) -> Verdict:
    listed = USUAL_CAPABILITIES if allowed is None else {_bare(entry) for entry in allowed}
    if _bare(name) in listed:
        return Allowed()
    return Refused("capabilities", f"the capability {name} is not in the list")


def _judge_user(container: ContainerSpec, *, allowed: tuple[str, ...] | None) -> Verdict:
    # A location without an image is not meant for a container.
    if allowed is None or not container.image or _is_matched(container.user, allowed):
        return Allowed()
    user = container.user or "that the image names"
    return Refused("users", f"the user {user} matches nothing in the list")


def _is_matched(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _normal(path: str) -> PurePosixPath:
    # Two slashes at the beginning survive normpath, and mean the same as one here.
    return PurePosixPath(normpath("/" + path.lstrip("/")))


def _bare(capability: str) -> str:
    return capability.upper().removeprefix("CAP_")
