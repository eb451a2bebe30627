"""What the code server is told at its start, read from its file and checked."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.json_format import Parse, ParseError
from isthmus.v1.code_server_pb2 import CodeServerConfig
from isthmus.v1.instruction_pb2 import START_METHOD_FORK, START_METHOD_SPAWN, CodeSource

from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import ConfigError
from isthmus_code_server.zygote.wire import LoadOrder, StartMethod

#: Names are words of routing keys: no dots.
_NAME = re.compile(r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")

_START_METHODS = {START_METHOD_FORK: StartMethod.FORK, START_METHOD_SPAWN: StartMethod.SPAWN}

#: Seconds between two heartbeats where the configuration leaves it open.
DEFAULT_HEARTBEAT_INTERVAL_S = 5.0
#: Seconds that a run may take to clean up where the configuration leaves it open.
DEFAULT_CANCEL_GRACE_S = 10.0

#: How many children wait for a run: forked ahead and warmed, or with the project imported. Two, because a launch that is
#: validated first takes one for that, and one for itself.
_SPARES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """A code server's configuration."""

    deployment: str
    agent: str
    location: str
    generation: int
    server: str
    source: DefinitionsSource
    #: A gRPC address.
    listen: str
    #: An AMQP address, with credentials: never to be logged.
    broker_url: str
    runs_dir: Path
    #: How runs get their processes.
    start: StartMethod
    #: Whether what a run leaves running when it ends lives on.
    leaves_children: bool
    heartbeat_interval_s: float
    cancel_grace_s: float
    #: Whether the server is dedicated: it takes one run, and ends.
    takes_one_run: bool = False

    @property
    def home(self) -> Path:
        """The location's folder, where values that outlive a run are kept."""
        return self.runs_dir.parent

    @property
    def load_order(self) -> LoadOrder:
        """What the zygote is to import, and how it starts children."""
        return LoadOrder(
            source=replace(self.source, location=self.location),
            home=str(self.home),
            # Where there is one run, the process that imports the project waits for it.
            spares=0 if self.takes_one_run else _SPARES,
            start=self.start,
            is_for_one_run=self.takes_one_run,
            leaves_children=self.leaves_children,
        )

    def __repr__(self) -> str:
        return f"<Settings {self.deployment}.{self.agent} {self.location}#{self.generation} {self.server}>"


def read_settings(path: Path) -> Settings:
    """Read a CodeServerConfig in its JSON form.

    Raises:
        ConfigError: The file cannot be read, or says something that cannot be used.
    """
    try:
        config = Parse(path.read_text(), CodeServerConfig())
    except OSError as error:
        raise ConfigError(str(path), remedy=f"the file cannot be read ({error.strerror}), correct the path") from error
    except ParseError as error:
        raise ConfigError(str(path), remedy=f"it is no CodeServerConfig in JSON: {error}") from error
    return settings_from(config)


def settings_from(config: CodeServerConfig) -> Settings:
    """Check a configuration and turn it into settings.

    Raises:
        ConfigError: A field is missing or cannot be used.
    """
    for field in ("deployment", "agent", "location"):
        if not _NAME.fullmatch(getattr(config, field)):
            remedy = "use lower-case letters, digits, '-' and '_', 63 characters at the most"
            raise ConfigError(field, remedy=remedy)
    for field in ("listen", "broker_url", "runs_dir"):
        if not getattr(config, field):
            raise ConfigError(field, remedy="it is empty, set it")
    return Settings(
        deployment=config.deployment,
        agent=config.agent,
        location=config.location,
        generation=config.generation,
        server=config.server,
        source=source_from(config.source),
        listen=config.listen,
        broker_url=config.broker_url,
        runs_dir=Path(config.runs_dir).absolute(),
        start=_START_METHODS.get(config.source.start, StartMethod.AUTO),
        leaves_children=config.source.leave_children,
        heartbeat_interval_s=config.heartbeat_interval_s or DEFAULT_HEARTBEAT_INTERVAL_S,
        cancel_grace_s=config.cancel_grace_s or DEFAULT_CANCEL_GRACE_S,
        takes_one_run=config.takes_one_run,
    )


def source_from(source: CodeSource) -> DefinitionsSource:
    """Check where the definitions come from.

    Raises:
        ConfigError: None of module, python file, package and autoload_defs_module is set.
    """
    if source.WhichOneof("target") is None:
        raise ConfigError("source", remedy="name a module, a python_file, a package or an autoload_defs_module")
    return DefinitionsSource(
        module=source.module,
        python_file=source.python_file,
        package=source.package,
        autoload_defs_module=source.autoload_defs_module,
        attribute=source.attribute,
        working_directory=source.working_directory,
        current_directory=source.current_directory,
        env_files=tuple(source.env_files),
    )
