"""Says why a file or a folder cannot be used, without Python's words and numbers."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from isthmus_cli.errors import InputError

#: The longest file that is read.
_MOST_CHARS: Final = 16 * 2**20
_WORDS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "a file is in its place",
    errno.EACCES: "permission denied",
    errno.EROFS: "it lies on a file system that is mounted read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is used up",
}


def fault_text(error: Exception) -> str:
    """Tell a fault in the middle of a sentence; it names no path, for whoever tells it has named one already."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if isinstance(error, OSError) and error.errno is not None:
        return _WORDS.get(error.errno) or (error.strerror or str(error))
    return str(error)


def read_text(path: Path, *, remedy: str, said: str = "") -> str:
    """Read a file that a person named.

    Args:
        path: The file.
        remedy: What to name instead.
        said: How the person named it, where that is more than the path.

    Raises:
        InputError: It is not there, is no text, or is larger than anything that a person writes.
    """
    try:
        # Of a device, as /dev/zero, there is no end.
        with path.open(encoding="utf-8") as file:
            text = file.read(_MOST_CHARS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{said or path} cannot be read: {fault_text(error)}.", remedy=remedy) from error
    if len(text) > _MOST_CHARS:
        raise InputError(f"{said or path} has more than {_MOST_CHARS // 2**20} million characters.", remedy=remedy)
    return text


def field_text(path: Iterable[int | str]) -> str:
    """Name a field by the way to it, as in locations[0].name."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def unknown_field_text(name: str, *, known: Iterable[str]) -> str:
    """Tell that a file has a field that there is not, and which was probably meant."""
    from difflib import get_close_matches

    fields = list(known)
    near = get_close_matches(name, fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(fields)}"
    return f"there is no such field; {hint}"


def error_text(error: BaseException) -> str:
    """Tell any error as a sentence's beginning; a file's, with its name."""
    if isinstance(error, OSError) and error.errno is not None:
        fault = fault_text(error)
        return f"{error.filename} cannot be used: {fault}" if error.filename else fault
    return str(error) or type(error).__name__


def check_current_folder() -> None:
    """Refuse to work in a folder that is no more.

    Raises:
        InputError: It was removed.
    """
    try:
        os.getcwd()  # noqa: PTH109 - a path of ours would be made of it, and nothing is
    except FileNotFoundError as error:
        raise InputError("The current folder was removed.", remedy="Go to one that is there.") from error
