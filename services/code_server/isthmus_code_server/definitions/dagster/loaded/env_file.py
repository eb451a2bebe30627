"""Reads files of variables (.env) the way `dagster dev` reads them."""

import os
from collections.abc import Sequence

from isthmus_code_server.errors import EnvFileError


def read_env_files(paths: Sequence[str]) -> dict[str, str]:
    """Return the variables of all files, the later over the earlier; a file that is not there is passed over.

    `${NAME}` in a value stands for a variable of this process or of the same file. A name without `=` sets nothing.

    Raises:
        EnvFileError: A file cannot be read, or a line of it is no assignment.
    """
    variables: dict[str, str] = {}
    for path in paths:
        if os.path.exists(path):  # noqa: PTH110  # paths come as text, and are told as text
            variables.update(_read(path))
    return variables


def _read(path: str) -> dict[str, str]:
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  # as above
            wrong = next((binding.original for binding in parse_stream(file) if binding.error), None)
        if wrong is not None:
            raise EnvFileError(path, line=wrong.line)
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise EnvFileError(path, cause=str(error)) from error
