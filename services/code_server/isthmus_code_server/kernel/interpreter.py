"""How a module of ours is started in an interpreter of its own, on the same Python."""

import os
import sys

from isthmus_lifecycle.lent import LENT_PATH_VARIABLE, RUN_WITH_LENT_PATH


def own_python(module: str, *flags: str) -> list[str]:
    """Return the beginning of a command that runs a module of ours; its arguments follow."""
    if os.environ.get(LENT_PATH_VARIABLE):
        return [sys.executable, *flags, "-c", RUN_WITH_LENT_PATH, module]
    return [sys.executable, *flags, "-m", module]
