"""What a container is created from, as the engine wants it: a pure translation of a server's spec."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aiodocker.types import JSONObject, JSONValue

from isthmus_agent.desired.container import Limits, Mount
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.docker.places import HOME, RUNS_DIR, SERVER_DIR, Places, ServerPlaces
from isthmus_agent.hosts.host import Server, ServerSpec
from isthmus_agent.hosts.server_config import CONFIG_FILE

#: What images of code servers have on their search path.
CODE_SERVER_COMMAND = ("isthmus-code-server",)

_NANO = 1_000_000_000
_TMP = "/tmp"  # noqa: S108 (the container's own)


@dataclass(frozen=True)
class Draft:
    """A container that is about to be created."""

    spec: ServerSpec
    server: Server
    places: ServerPlaces
    labels: Mapping[str, str]
    #: Empty for the image's own.
    user: str

    def body(self, *, options: DockerOptions, places: Places) -> JSONObject:
        """Return the engine's form. Nothing of the agent's own environment is in it."""
        container = self.spec.container
        return {
            "Image": container.image,
            # All of it as the entry point, so that neither the image's own nor its arguments come before it.
            "Entrypoint": [
                *(container.command or CODE_SERVER_COMMAND),
                "serve",
                "--config",
                f"{SERVER_DIR}/{CONFIG_FILE}",
            ],
            "Cmd": [],
            "Env": [f"{name}={value}" for name, value in self._env().items()],
            "Labels": dict(self.labels),
            "User": self.user,
            "WorkingDir": self.spec.source.current_directory or self.spec.source.working_directory,
            "StopTimeout": math.ceil(container.stop_timeout_s or options.stop_timeout_s),
            # The agent asks the code server itself.
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": self._host_config(options=options, places=places),
        }

    def _env(self) -> Mapping[str, str]:
        # Tools write below the home folder, which is most often not writable in a read-only root.
        home = {} if self.spec.container.is_root_writable else {"HOME": _TMP}
        return {**home, **self.spec.env}

    def _host_config(self, *, options: DockerOptions, places: Places) -> JSONObject:
        container = self.spec.container
        tmpfs = () if container.is_root_writable else (_TMP,)
        return {
            **limits_body(effective_limits(container.limits, defaults=options.limits)),
            "Init": True,
            "RestartPolicy": {"Name": "no"},
            "ReadonlyRootfs": not container.is_root_writable,
            "Tmpfs": dict.fromkeys((*tmpfs, *container.tmpfs), "rw,nosuid,nodev,exec,mode=1777"),
            "CapDrop": ["ALL"],
            "CapAdd": list(container.capabilities),
            "Privileged": container.is_privileged,
            "SecurityOpt": [] if container.is_privileged else ["no-new-privileges"],
            "NetworkMode": next(iter(networks_of(self.spec, options=options)), "default"),
            "LogConfig": {
                "Type": "json-file",
                "Config": {"max-size": options.log_max_size, "max-file": str(options.log_max_files)},
            },
            "Mounts": [
                _bind(places.for_engine(self.places.home), target=str(HOME)),
                _bind(places.for_engine(self.places.shared), target=str(SERVER_DIR)),
                _bind(places.for_engine(self.places.runs_dir), target=str(RUNS_DIR)),
                *(_mount(mount) for mount in container.mounts),
            ],
        }


def networks_of(spec: ServerSpec, *, options: DockerOptions) -> tuple[str, ...]:
    """Return the networks of a container; the first is there from its creation."""
    return spec.container.networks or ((options.network,) if options.network else ())


def effective_limits(wanted: Limits, *, defaults: Limits) -> Limits:
    """Return what a container may use when some of it is left to the agent; 0 for no limit."""
    return Limits(
        memory_bytes=wanted.memory_bytes or defaults.memory_bytes,
        cpus=wanted.cpus or defaults.cpus,
        pids=wanted.pids or defaults.pids,
    )


def limits_body(limits: Limits) -> Mapping[str, JSONValue]:
    """Return limits as creating and updating want them. Swap is never added: it would hide that memory ran out."""
    body: dict[str, JSONValue] = {}
    if limits.memory_bytes:
        body |= {"Memory": limits.memory_bytes, "MemorySwap": limits.memory_bytes}
    if limits.cpus:
        body["NanoCpus"] = round(limits.cpus * _NANO)
    if limits.pids:
        body["PidsLimit"] = limits.pids
    return body


def _bind(source: str, *, target: str) -> JSONObject:
    return {"Type": "bind", "Source": source, "Target": target}


def _mount(mount: Mount) -> JSONObject:
    kind = "bind" if mount.is_host_path else "volume"
    return {"Type": kind, "Source": mount.source, "Target": mount.target, "ReadOnly": mount.is_read_only}
