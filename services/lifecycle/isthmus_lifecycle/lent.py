"""How a module of ours is run by an interpreter that is lent the code server."""

from typing import Final

#: Names the folders that are lent: whoever starts an interpreter sets it, and the code server reads it for those that it starts itself.
LENT_PATH_VARIABLE: Final = "ISTHMUS_LENT_PATH"
#: For `python -c`, before the module's name: runs it as -m does. What is lent comes last, so that nothing of the interpreter's own is hidden.
RUN_WITH_LENT_PATH: Final = (
    f"import os, runpy, sys; sys.path += os.environ['{LENT_PATH_VARIABLE}'].split(os.pathsep);"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
