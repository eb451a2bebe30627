"""Real projects, found as `dagster dev` and `dg dev` find them, and loaded by the code server."""

from pathlib import Path

from contract.loading.load import PROJECTS, load_all
from isthmus_cli.project.find import find_project
from isthmus_code_server.config import source_from

EXPECTED = {
    "workspace": {"east": ["sunrise"], "west-coast": ["sunset"], "inland": [], "depot": ["goods"]},
    "tool_dagster": {"mill-grain": ["grain"], "mill-flour": ["flour"]},
    "dg_project": {"dg_project": ["cargo", "rum", "ships", "tea"]},
    "dg_autoload": {"dg_autoload": ["planks"]},
    "dg_workspace": {"north": ["snow"], "deep-south": ["sand"]},
}


def test_every_location_of_every_project_is_found_and_loads(tmp_path: Path) -> None:
    found = {name: find_project(PROJECTS / name).locations for name in EXPECTED}
    places = [(name, location) for name, locations in found.items() for location in locations]
    told = load_all([source_from(location.source) for _, location in places], home=tmp_path)
    assets: dict[str, dict[str, list[str]]] = {name: {} for name in EXPECTED}
    for (name, location), one in zip(places, told, strict=True):
        assert "error" not in one, (location.name, one)
        assets[name][location.name] = list(one["assets"])
    assert assets == EXPECTED
    by_location = {location.name: one for (_, location), one in zip(places, told, strict=True)}
    assert by_location["inland"]["jobs"] == ["stroll"]
    assert by_location["dg_project"]["schedules"] == {"unload_schedule": "unload"}
