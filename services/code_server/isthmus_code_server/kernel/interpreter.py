"""How a module of ours is started in an interpreter of its own, on the same Python."""

import os
import sys

#: Set by whoever lends this Python the code server: the folders that come last on its path.
LENT_PATH_VARIABLE = "ISTHMUS_LENT_PATH"
_WITH_LENT_PATH = (
    f"import os, runpy, sys; sys.path += os.environ['{LENT_PATH_VARIABLE}'].split(os.pathsep);"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def own_python(module: str, *flags: str) -> list[str]:
    """Return the beginning of a command that runs a module of ours; its arguments follow."""
    if os.environ.get(LENT_PATH_VARIABLE):
        return [sys.executable, *flags, "-c", _WITH_LENT_PATH, module]
    return [sys.executable, *flags, "-m", module]
