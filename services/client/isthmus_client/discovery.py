"""Finds the control plane's address, and the token that it asks for, when nobody names them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from isthmus_client.announcement import Announcement, announcement_file, canonical
from isthmus_client.errors import TokenError
from isthmus_client.token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, checked, read_token

#: The folder in which `isthmus dev` keeps its state, and the files in it that tell where it listens and hold its token.
STATE_FOLDER = ".isthmus"
SERVER_FILE = "server.json"
TOKEN_FILE = "api-token"  # noqa: S105 - a file's name
DEFAULT_ADDRESS = "127.0.0.1:7070"


@dataclass(frozen=True)
class FoundToken:
    """A token, and where it was found."""

    value: str = field(repr=False)
    source: str


def find_server(
    named: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> str:
    """Choose the address: what was named, ISTHMUS_SERVER, a running `isthmus dev` here or in a parent folder, the default."""
    if named := named or environ.get("ISTHMUS_SERVER"):
        return named
    return next((found.address for found in _of_dev(folder)), DEFAULT_ADDRESS)


def find_token(
    address: str,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> FoundToken | None:
    """Choose the token for an address: ISTHMUS_API_TOKEN, ISTHMUS_API_TOKEN_FILE, or what its control plane announced.

    An announced token is given to no other address than that of the living control plane that announced it.

    Raises:
        TokenError: What a variable names is no token, or cannot be read.
    """
    if token := environ.get(TOKEN_VARIABLE):
        return FoundToken(checked(token, source=TOKEN_VARIABLE), TOKEN_VARIABLE)
    if path := environ.get(TOKEN_FILE_VARIABLE):
        return FoundToken(read_token(Path(path)), f"{TOKEN_FILE_VARIABLE} ({path})")
    own = Announcement.read(announcement_file(address, environ=environ))
    for found in (*_of_dev(folder), *((own,) if own else ())):
        if found.token_file is not None and canonical(found.address) == canonical(address):
            with suppress(TokenError):
                return FoundToken(read_token(found.token_file), str(found.token_file))
    return None


def _of_dev(folder: Path | None) -> Iterator[Announcement]:
    """Tell of each living `isthmus dev` of this folder and of those above it."""
    here = (folder or Path.cwd()).absolute()
    for candidate in (here, *here.parents):
        if found := Announcement.read(candidate / STATE_FOLDER / SERVER_FILE):
            yield found
