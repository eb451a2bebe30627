"""The file that describes code locations, and the options that describe one."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from isthmus.v1.control_plane_pb2 import LocationSettings, QueueSettings
from isthmus.v1.instruction_pb2 import (
    ISOLATION_DEDICATED,
    ISOLATION_SHARED,
    ISOLATION_UNSPECIFIED,
    START_METHOD_FORK,
    START_METHOD_SPAWN,
    START_METHOD_UNSPECIFIED,
    CodeSource,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isthmus_cli.container_entry import ContainerEntry, LimitsEntry, MountEntry
from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import field_text, read_text, unknown_field_text
from isthmus_cli.file_values import filled_in
from isthmus_cli.queue_file import parse_sections
from isthmus_cli.yaml_text import parse_yaml

if TYPE_CHECKING:
    from isthmus_cli.alert_file import ReadPolicies

_NAME = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"
_ISOLATIONS = {"": ISOLATION_UNSPECIFIED, "shared": ISOLATION_SHARED, "dedicated": ISOLATION_DEDICATED}
START_METHODS = {"auto": START_METHOD_UNSPECIFIED, "fork": START_METHOD_FORK, "spawn": START_METHOD_SPAWN}
_FORM = "The form is: locations: [{name: etl, module: etl.definitions}]; docs/cli.md lists the fields."
_TARGETS = ("module", "file", "package", "autoload_defs_module")


class LocationEntry(BaseModel):
    """One location: a name, where its definitions come from, and how to load them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: What it is called: 1 to 63 lower-case letters, digits, - and _, with a letter or digit at both ends.
    name: Annotated[str, Field(pattern=_NAME)]
    #: The module that holds the definitions. Exactly one of the four targets is given.
    module: str = ""
    #: The Python file that holds the definitions.
    file: str = ""
    #: The package that holds the definitions.
    package: str = ""
    #: The module below which a `dg` project has its definitions.
    autoload_defs_module: str = ""
    #: The name of the definitions object; without it, the only one there.
    attribute: str = ""
    #: Where relative paths start, and what comes first on `sys.path`.
    working_directory: str = ""
    #: The process's current directory; empty for the working directory.
    current_directory: str = ""
    #: Files of variables that the code server reads where they lie.
    env_files: list[str] = Field(default_factory=list)
    #: The interpreter, where code servers are processes; without it, the agent's own.
    python: str = ""
    #: How a run's process comes about: forked off one that has the project imported, an interpreter of its own, or
    #: whichever of the two the code server finds to be right.
    start: Literal["auto", "fork", "spawn"] = "auto"
    #: Whether what a run leaves running when it ends lives on.
    leave_children: bool = False
    #: Agents of this pool may serve it; `default` without it.
    pool: str = ""
    #: Variables for its code. Not for secrets: the control plane stores them.
    env: dict[str, str] = Field(default_factory=dict)
    #: Seconds that importing may take; 0 for the agent's default.
    load_timeout_s: Annotated[float, Field(ge=0)] = 0.0
    #: What its containers are made from, on an agent whose host is Docker.
    container: ContainerEntry = Field(default_factory=ContainerEntry)
    #: Where runs execute; empty for the way of the agent's host.
    isolation: Literal["", "shared", "dedicated"] = ""
    #: How many dedicated code servers are kept loaded and waiting for a run.
    standby: Annotated[int, Field(ge=0, lt=2**32)] = 0
    #: On how many agents of the pool it is to be.
    replicas: Annotated[int, Field(ge=1, lt=2**32)] = 1
    #: Seconds after which idle code servers end; 0 for never.
    idle_ttl_s: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        given = [target for target in _TARGETS if getattr(self, target)]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_TARGETS)} (given: {', '.join(given) or 'none'})")
        return self

    def to_settings(self) -> LocationSettings:
        """Build the contract's message."""
        source = CodeSource(
            attribute=self.attribute,
            working_directory=self.working_directory,
            current_directory=self.current_directory,
            env_files=self.env_files,
            python_executable=self.python,
            start=START_METHODS[self.start],
            leave_children=self.leave_children,
        )
        if self.module:
            source.module = self.module
        elif self.file:
            source.python_file = self.file
        elif self.package:
            source.package = self.package
        else:
            source.autoload_defs_module = self.autoload_defs_module
        return LocationSettings(
            name=self.name,
            pool=self.pool,
            source=source,
            env=self.env,
            load_timeout_s=self.load_timeout_s,
            container=self.container.to_spec(),
            isolation=_ISOLATIONS[self.isolation],
            standby=self.standby,
            replicas=self.replicas,
            idle_ttl_s=self.idle_ttl_s,
        )


class LocationFile(BaseModel):
    """A file of locations, `locations:` and a list under it, beside which the deployment's queue may be limited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    locations: list[LocationEntry] = Field(default_factory=list)
    #: As in a document of `isthmus queue set`; these are read by `queue_file`.
    concurrency: object = None
    run_retries: object = None
    run_timeouts: object = None
    #: As `policies` of a file of `isthmus alert sync`; these are read by `alert_file`.
    alerts: object = None

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        names = [entry.name for entry in self.locations]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"a name may appear once only: {', '.join(doubled)}")
        return self


@dataclass(frozen=True)
class ProjectFile:
    """What a file says: locations, and settings of the queue and alert policies where it has some."""

    locations: list[LocationSettings]
    queue: QueueSettings | None
    alerts: "ReadPolicies | None" = None


def read_location_file(path: Path) -> list[LocationSettings]:
    """Read the locations of a file; see `read_project_file`."""
    return read_project_file(path, needs_locations=True).locations


def read_project_file(path: Path, *, needs_locations: bool = False) -> ProjectFile:
    """Read a file of locations, limits and alert policies, as isthmus.yaml is one.

    Args:
        path: The file.
        needs_locations: Refuse one without any.

    Raises:
        InputError: Names file, field and what to write instead.
    """
    text = read_text(path, remedy="Name a YAML file with `locations:`.")
    said = parse_yaml(text, origin=str(path))
    _check_defaults(said, origin=str(path))
    content = filled_in(said, environment=os.environ, origin=str(path))
    try:
        file = LocationFile.model_validate(content)
    except ValidationError as error:
        raise _input_error(error, origin=str(path)) from error
    if needs_locations and not file.locations:
        raise InputError(f"{path} cannot be used:\n  locations: names no location", remedy=_FORM)
    return ProjectFile(
        [entry.to_settings() for entry in file.locations],
        parse_sections(content, origin=str(path)),
        _alerts_of(file, path=path, text=text),
    )


def _alerts_of(file: LocationFile, *, path: Path, text: str) -> "ReadPolicies | None":
    if "alerts" not in file.model_fields_set:
        return None
    from isthmus_cli.alert_file import parse_alerts  # with the models of policies, for the files that have some

    return parse_alerts(file.alerts, path=path, text=text)


def settings_of(**fields: object) -> LocationSettings:
    """Build a location's settings from single options; those that are empty are left out.

    Raises:
        InputError: Names the option and what to write instead.
    """
    try:
        return LocationEntry.model_validate({key: value for key, value in fields.items() if value}).to_settings()
    except ValidationError as error:
        raise _input_error(error, origin="The options") from error


def _check_defaults(said: Any, *, origin: str) -> None:
    """Refuse defaults of fields that no location has: they would be told of each location, or, without any, of none."""
    defaults = said.get("defaults") if isinstance(said, dict) else None
    if not isinstance(defaults, dict):
        return
    fields = [name for name in LocationEntry.model_fields if name != "name"]
    faults = [
        f"  defaults.{key}: {unknown_field_text(str(key), known=fields)}" for key in defaults if key not in fields
    ]
    if faults:
        raise InputError("\n".join([f"{origin} cannot be used:", *faults]), remedy=_FORM)


def _input_error(error: ValidationError, *, origin: str) -> InputError:
    faults = []
    for fault in error.errors(include_url=False):
        field = field_text(fault["loc"]) or "as a whole"
        faults.append(f"  {field}: {_say(fault['type'], path=fault['loc'], message=fault['msg'])}")
    return InputError("\n".join([f"{origin} cannot be used:", *faults]), remedy=_FORM)


def _fields_beside(path: tuple[int | str, ...]) -> Iterable[str]:
    """List the fields that there are where a fault is."""
    models: dict[str, type[BaseModel]] = {"container": ContainerEntry, "limits": LimitsEntry, "mounts": MountEntry}
    # A name that stands alone is a section's, or an option's, which is called as the field that it sets.
    if len(path) == 1 and path[0] not in LocationEntry.model_fields:
        return [*LocationFile.model_fields, "defaults", "variables"]
    held = [models[part] for part in path[:-1] if isinstance(part, str) and part in models]
    model = held[-1] if held else LocationEntry
    return list(model.model_fields)


def _say(kind: str, *, path: tuple[int | str, ...], message: str) -> str:
    match kind:
        case "extra_forbidden":
            return unknown_field_text(str(path[-1]), known=_fields_beside(path))
        case "string_pattern_mismatch":
            return "use 1 to 63 lower-case letters, digits, - and _, with a letter or digit at both ends"
        case "missing":
            return "is missing"
        case _:
            return message.removeprefix("Value error, ")
