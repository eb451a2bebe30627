"""TOML files of a project."""

import tomllib
from pathlib import Path

from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import fault_text
from isthmus_cli.project.table import Table


def read_toml(path: Path) -> Table | None:
    """Read a file; None when it is not there.

    Raises:
        InputError: It cannot be read, or is no TOML.
    """
    try:
        return Table.of(tomllib.loads(path.read_text(encoding="utf-8")), origin=str(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {fault_text(error)}.", remedy="Mend the file, or use -m, -f, -p or -w."
        ) from error
