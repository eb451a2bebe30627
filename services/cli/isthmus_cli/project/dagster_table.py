"""Reads [tool.dagster] of a pyproject.toml: the modules that `dagster dev` loads."""

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource

from isthmus_cli.project.name import Nameless, choose_names
from isthmus_cli.project.place import Place
from isthmus_cli.project.table import Table


def read_dagster_table(table: Table, *, place: Place) -> list[LocationSettings]:
    """Return the locations that the table names; none when it names no module.

    Raises:
        InputError: Names file, key and remedy.
    """
    modules = _modules(table)
    # The name is that of a single location: several that shared it would be one.
    said = table.text("code_location_name") if len(modules) == 1 else ""
    attribute = table.text("attribute")
    names = choose_names(
        [Nameless(module, attribute=attribute, said=said, folder=place.folder) for module in modules],
    )
    return [
        place.settings(name, CodeSource(module=module, attribute=attribute))
        for name, module in zip(names, modules, strict=True)
    ]


def _modules(table: Table) -> list[str]:
    module = table.text("module_name")
    listed = table.tables("modules")
    if module and listed:
        raise table.error("modules", "stands beside module_name", remedy="Keep one of the two.")
    if not listed:
        return [module] if module else []
    for entry in listed:
        if entry.required("type") != "module":
            remedy = 'Write { type = "module", name = "my_project.definitions" }.'
            raise entry.error("type", f"is {entry.text('type')!r}, which names nothing to load", remedy=remedy)
    return [entry.required("name") for entry in listed]
