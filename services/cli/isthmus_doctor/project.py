"""Checks of the project in the current folder: that it is found, and what its Python has."""

from collections.abc import Iterator
from pathlib import Path

from isthmus_cli.errors import InputError
from isthmus_cli.project.find import find_project
from isthmus_dev.errors import DevError
from isthmus_dev.python.equip import equip
from isthmus_dev.python.find import find_python

from isthmus_doctor.finding import Finding


def project(folder: Path, *, python: str, lent_dir: Path) -> Iterator[Finding]:
    """The folder's project is found, and the Python of each of its locations can serve it."""
    try:
        found = find_project(folder)
    except InputError as error:
        yield Finding.ok("project", f"none in {folder}: {str(error).splitlines()[0]}")
        return
    names = ", ".join(location.name for location in found.locations)
    yield Finding.ok("project", f"{found.origin} names {names}")
    for location in found.locations:
        try:
            chosen = find_python(python, folder=folder)
            yield from (Finding.ok("python", line) for line in equip([location], chosen=chosen, folder=lent_dir).lines)
        except DevError as error:
            yield Finding.fail("python", f"{location.name}: {error}", remedy=error.remedy)
