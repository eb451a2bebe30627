"""Finds the control plane's address, and the token that it asks for, when nobody names them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from isthmus_client.announcement import Announcement, announcement_file, canonical, servers_folder
from isthmus_client.errors import TokenError
from isthmus_client.token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, checked, read_token

#: The folder in which `isthmus dev` keeps its state, and the files in it that tell where it listens and hold its token.
STATE_FOLDER = ".isthmus"
SERVER_FILE = "server.json"
TOKEN_FILE = "api-token"  # noqa: S105 - a file's name
DEFAULT_ADDRESS = "127.0.0.1:7070"


#: The variable that names the control plane's address.
SERVER_VARIABLE = "ISTHMUS_SERVER"


@dataclass(frozen=True, kw_only=True)
class FoundServer:
    """An address, and where it comes from."""

    address: str
    #: What named it: an option, a variable, a file; empty for the default, when nothing did.
    source: str = ""
    #: For the default: the folder from which on upwards a running `isthmus dev` was looked for.
    searched: Path | None = None
    #: What an `isthmus dev` left there that has ended.
    left_behind: Path | None = None


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
    return locate_server(named, environ=environ, folder=folder).address


def locate_server(
    named: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> FoundServer:
    """Choose the address as `find_server` does, and tell where it comes from."""
    if named:
        return FoundServer(address=named, source="--server")
    if named := environ.get(SERVER_VARIABLE):
        return FoundServer(address=named, source=SERVER_VARIABLE)
    here = (folder or Path.cwd()).absolute()
    for path in _announcements(here):
        if found := Announcement.read(path):
            return FoundServer(address=found.address, source=str(path))
    left_behind = next((path for path in _announcements(here) if path.exists()), None)
    return FoundServer(address=DEFAULT_ADDRESS, searched=here, left_behind=left_behind)


def living_servers(*, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Tell the addresses of the user's control planes on this machine."""
    found = (Announcement.read(path) for path in sorted(servers_folder(environ).glob("*.json")))
    return [each.address for each in found if each is not None]


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
    for path in _announcements((folder or Path.cwd()).absolute()):
        if found := Announcement.read(path):
            yield found


def _announcements(here: Path) -> Iterator[Path]:
    """Tell where an `isthmus dev` of this folder, or of one above it, would tell its address."""
    return (candidate / STATE_FOLDER / SERVER_FILE for candidate in (here, *here.parents))
