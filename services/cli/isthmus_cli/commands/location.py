"""`isthmus location …`: say where definitions come from, and see how they load."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2 import LocationSettings

    from isthmus_cli.location_file import ProjectFile

#: In the order of the help; a command's module registers it when it is imported.
_MODULES = {
    "apply": "location",
    "reload": "location",
    "list": "location",
    "show": "location",
    "history": "generation",
    "rollback": "generation",
    "remove": "location",
}

app = Group(
    "location",
    help="Add code locations, change them, look at them.",
    places={name: f"isthmus_cli.commands.{module}" for name, module in _MODULES.items()},
)

LocationName = Annotated[str, Argument(metavar="LOCATION", help="The location's name.", completes="locations")]


@dataclass(frozen=True, kw_only=True)
class OneLocationOptions(PrintOptions):
    """A command about one location."""

    name: LocationName


@dataclass(frozen=True, kw_only=True)
class ApplyOptions(PrintOptions):
    """`location apply`."""

    path: Annotated[
        Path | None,
        Argument(
            metavar="[FILE.yaml]",
            help="A file with `locations:`, and `concurrency:`; or -w, or describe one with options.",
        ),
    ] = None
    workspaces: Annotated[
        list[Path],
        Option("-w --workspace", metavar="PATH", help="Dagster's workspace.yaml.", show_default=False),
    ] = field(default_factory=list)
    name: Annotated[str, Option(metavar="NAME", help="The location's name.", show_default=False)] = ""
    module: Annotated[str, Option("-m --module", metavar="MODULE", show_default=False)] = ""
    file: Annotated[str, Option("-f --file", metavar="PATH", help="A Python file.", show_default=False)] = ""
    package: Annotated[str, Option("-p --package", metavar="PACKAGE", show_default=False)] = ""
    attribute: Annotated[
        str,
        Option("-a --attribute", metavar="NAME", help="The definitions in it; else the only ones.", show_default=False),
    ] = ""
    working_directory: Annotated[
        str,
        Option("-d --working-directory", metavar="PATH", help="Where the agent imports.", show_default=False),
    ] = ""
    python: Annotated[str, Option(metavar="PATH", help="The interpreter on the agent.", show_default=False)] = ""
    start: Annotated[
        str,
        Option(metavar="auto|fork|spawn", help="How runs start, if not as is found safe.", show_default=False),
    ] = ""
    env_files: Annotated[
        list[str],
        Option("--env-file", metavar="PATH", help="A .env on the agent's side, read at each load.", show_default=False),
    ] = field(default_factory=list)
    env: Annotated[
        list[str],
        Option("--env", metavar="K=V", help="A variable for its code.", show_default=False),
    ] = field(default_factory=list)
    pool: Annotated[str, Option(metavar="POOL", help="Agents of this pool may serve it.", show_default=False)] = ""
    load_timeout: Annotated[
        float,
        Option(metavar="SECONDS", help="How long importing may take; 0 for the agent's default.", min=0.0),
    ] = 0.0
    image: Annotated[
        str, Option(metavar="IMAGE", help="The image that its code runs in, on Docker.", show_default=False)
    ] = ""
    isolation: Annotated[
        str,
        Option(metavar="shared|dedicated", help="Where runs execute, if not the agent's way.", show_default=False),
    ] = ""
    standby: Annotated[int, Option(metavar="N", help="How many containers wait, loaded, for a run.", min=0)] = 0
    replicas: Annotated[int, Option(metavar="N", help="On how many agents of the pool it is to be.", min=1)] = 1
    memory: Annotated[
        str, Option(metavar="SIZE", help="What a container may use, as in 512MB.", show_default=False)
    ] = ""
    cpus: Annotated[float, Option(metavar="N", help="Processors that it may use, as in 1.5.", min=0.0)] = 0.0
    reload: Annotated[bool, Option("--reload", help="Import again though the settings are the same.")] = False
    wait: Annotated[bool, Option("--wait/--no-wait", help="Return when it serves, or failed to load.")] = True
    timeout: Annotated[float, Option(metavar="SECONDS", help="How long to wait.", min=0.0)] = 300.0


@command(
    app,
    "apply",
    options=ApplyOptions,
    examples=(
        "isthmus location apply --name etl --module etl.definitions -d /srv/etl",
        "isthmus location apply locations.yaml",
    ),
)
def apply(options: ApplyOptions) -> None:
    """Add or change code locations, and wait until they serve.

    The paths are those of the agent. Equal settings change nothing; with --reload the code is imported again.
    Exit code: 0 all serve, 1 one does not load.
    """
    run_to_end(_apply(options))


async def _apply(options: ApplyOptions) -> int:
    from isthmus_cli.apply import Order, apply_locations
    from isthmus_cli.run_request import person

    wanted = _settings_of(options)
    timeout_s = options.timeout if options.wait else None
    async with connected(options) as client:
        if wanted.queue is not None:
            await client.set_queue_settings(wanted.queue, requested_by=person())
        order = Order(settings=wanted.locations, is_reload=options.reload, timeout_s=timeout_s)
        return await apply_locations(client, order, is_json=options.is_json)


@dataclass(frozen=True, kw_only=True)
class ReloadOptions(OneLocationOptions):
    """`location reload`."""

    wait: Annotated[bool, Option("--wait/--no-wait", help="Return when it serves, or failed to load.")] = True
    timeout: Annotated[float, Option(metavar="SECONDS", help="How long to wait.", min=0.0)] = 300.0


@command(app, "reload", options=ReloadOptions)
def reload(options: ReloadOptions) -> None:
    """Import a location's code again, as after a change; the old code serves until the new one is loaded.

    Exit code: 0 it serves, 1 it does not load.
    """
    run_to_end(_reload(options))


async def _reload(options: ReloadOptions) -> int:
    from isthmus_cli.apply import Order, apply_locations

    timeout_s = options.timeout if options.wait else None
    async with connected(options) as client:
        location = await client.get_location(options.name)
        order = Order(settings=[location.settings], is_reload=True, timeout_s=timeout_s)
        return await apply_locations(client, order, is_json=options.is_json)


@command(app, "list", options=ListingOptions)
def list_locations(options: ListingOptions) -> None:
    """List the code locations."""
    run_to_end(_list(options))


async def _list(options: ListingOptions) -> int:
    from isthmus_cli.view.location import location_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        locations = await client.list_locations()
    if options.is_json:
        print_documents(locations)
    elif locations:
        print_lines(location_table(locations, paint=Paint.of(), room=options.room))
    else:
        note("There are no code locations. Add one: isthmus location apply --name NAME --module MODULE")
    return 0


@command(app, "show", options=OneLocationOptions)
def show(options: OneLocationOptions) -> None:
    """Tell one location whole: where it serves, why it does not load, what it defines."""
    run_to_end(_show(options))


async def _show(options: OneLocationOptions) -> int:
    from isthmus_cli.view.location import location_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        location = await client.get_location(options.name)
    if options.is_json:
        print_document(location)
    else:
        print_lines(location_lines(location, paint=Paint.of()))
    return 0


@command(app, "remove", options=OneLocationOptions)
def remove(options: OneLocationOptions) -> None:
    """Take a location off its agents; its runs go on, their history stays."""
    run_to_end(_remove(options))


async def _remove(options: OneLocationOptions) -> int:
    from isthmus_cli.view.output import note, print_lines

    async with connected(options) as client:
        await client.remove_location(options.name)
    if options.is_json:
        print_lines(["{}"])
    else:
        note(f"Removed location {options.name}.")
    return 0


def _settings_of(options: ApplyOptions) -> "ProjectFile":
    from isthmus_cli.errors import InputError
    from isthmus_cli.location_file import ProjectFile, read_project_file

    single = any((options.name, options.module, options.file, options.package))
    if (options.path is not None) + bool(options.workspaces) + single > 1:
        raise InputError(
            "A file, a workspace and options that describe a location exclude each other.", remedy="Give one of them."
        )
    if options.path:
        return read_project_file(options.path, needs_locations=True)
    if options.workspaces:
        from isthmus_cli.project.place import Place
        from isthmus_cli.project.workspace import read_workspaces

        return ProjectFile(read_workspaces(options.workspaces, place=Place(Path.cwd())), None)
    if not single:
        raise InputError(
            "Which location?",
            remedy="Name a file, a workspace (-w), or write --name NAME with --module, --file or --package.",
        )
    return ProjectFile([_described(options)], None)


def _described(options: ApplyOptions) -> "LocationSettings":
    from isthmus_cli.location_file import settings_of

    return settings_of(
        name=options.name,
        module=options.module,
        file=options.file,
        package=options.package,
        attribute=options.attribute,
        working_directory=options.working_directory,
        python=options.python,
        start=options.start,
        env_files=options.env_files,
        pool=options.pool,
        env=_env_of(options.env),
        load_timeout_s=options.load_timeout,
        isolation=options.isolation,
        standby=options.standby,
        replicas=options.replicas,
        container=_container_of(options),
    )


def _container_of(options: ApplyOptions) -> dict[str, object]:
    limits = {"memory": options.memory, "cpus": options.cpus}
    given = {"image": options.image, "limits": {name: value for name, value in limits.items() if value}}
    return {name: value for name, value in given.items() if value}


def _env_of(assignments: Iterable[str]) -> dict[str, str]:
    from isthmus_cli.errors import InputError

    env = {}
    for assignment in assignments:
        key, separator, value = assignment.partition("=")
        if not key or not separator:
            raise InputError(f"--env {assignment} is no assignment.", remedy="Write --env KEY=VALUE")
        env[key] = value
    return env
