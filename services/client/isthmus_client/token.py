"""The API's token: what it must look like, and the file that holds it, which its user alone can read."""

import os
import re
from contextlib import suppress
from pathlib import Path

from isthmus_client.errors import TokenError

#: The variables that name a token, or the file that holds one.
TOKEN_VARIABLE = "ISTHMUS_API_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE_VARIABLE = "ISTHMUS_API_TOKEN_FILE"  # noqa: S105 - the name of a variable
#: The metadata of a call that carries the token, as `Bearer TOKEN`.
METADATA_KEY = "authorization"
#: Characters that a token has at least, and at most: it travels in a header of each call.
_LENGTHS = range(16, 1025)
_TOKEN = re.compile(r"[!-~]+")


def checked(token: str, *, source: str) -> str:
    """Return the token without the white space around it.

    Raises:
        TokenError: It is too short or too long, or has characters that no header can carry.
    """
    found = token.strip()
    if fault := _fault_of(found):
        raise TokenError(
            f"The token of {source} is not usable: {fault}.",
            remedy=f"A token has {_LENGTHS.start} to {_LENGTHS.stop - 1} characters of ASCII without spaces.",
        )
    return found


def _fault_of(token: str) -> str:
    """Say what is wrong with a token, without showing any of it; nothing when it is well."""
    if not token:
        return "it is empty"
    if any(map(str.isspace, token)):
        return "there is white space in it, as between two lines"
    if not _TOKEN.fullmatch(token):
        return "it has a character beyond ASCII, or a control character"
    if len(token) not in _LENGTHS:
        return f"it has {len(token)} character{'' if len(token) == 1 else 's'}"
    return ""


def read_token(path: Path) -> str:
    """Read the token that a file holds.

    Raises:
        TokenError: The file cannot be read, or what it holds is no token.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise TokenError(f"The token file {path} cannot be read: {error.strerror}.") from error
    return checked(text, source=str(path))


def kept_token(path: Path) -> str:
    """Read the token that a file holds; make both where there is no file: 0600, in a folder of its own 0700.

    Raises:
        TokenError: The file can neither be read nor made, or what it holds is no token.
    """
    if path.exists():
        return read_token(path)
    import secrets

    token = secrets.token_urlsafe(32)
    partial = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        # Whole or not at all, and whoever comes second takes the first one's.
        with suppress(FileExistsError):
            path.hardlink_to(partial)
        partial.unlink()
    except OSError as error:
        raise TokenError(
            f"The token file {path} cannot be made: {error.strerror}.",
            remedy=f"Name a file that can, in {TOKEN_FILE_VARIABLE}, or the token itself, in {TOKEN_VARIABLE}.",
        ) from error
    return read_token(path)
