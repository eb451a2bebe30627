"""Where definitions come from."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinitionsSource:
    """Where definitions come from: exactly one of module, python file, package and autoload module is set."""

    module: str = ""
    python_file: str = ""
    package: str = ""
    #: A module whose submodules and components are loaded as one.
    autoload_defs_module: str = ""
    #: The name of the definitions object; empty to find the only one.
    attribute: str = ""
    #: What comes first on sys.path; empty for the process's own.
    working_directory: str = ""
    #: The process's current directory; empty for the working directory.
    current_directory: str = ""
    #: Files of variables that are read before the import, the later over the earlier.
    env_files: Sequence[str] = ()
    #: The location's name, which a loader of variables may be asked by.
    location: str = ""
