"""How a control plane tells its user's tools, on the same machine, where it listens and where its token is.

An announcement is a file that its user alone can read. One lies in the user's state folder, by the address; `isthmus dev`
keeps another in its project. What a dead process announced counts for nothing: somebody else may listen there by now, and
must not be sent the token.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_ANY_OR_OWN = ("", "0.0.0.0", "[::]", "[::1]", "localhost", "127.0.0.1")  # noqa: S104 - names, none is listened on


@dataclass(frozen=True)
class Announcement:
    """Where a control plane listens."""

    address: str
    #: Its process; None for one that is no process of this machine's user, as in a container.
    pid: int | None
    #: What holds its token; None when whoever calls it is given the token by other means.
    token_file: Path | None

    @classmethod
    def read(cls, path: Path) -> "Announcement | None":
        """Read what a living control plane wrote; None where there is nothing that makes sense."""
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            pid, token_file = facts.get("pid"), facts.get("token_file")
            found = cls(
                address=str(facts["address"]),
                pid=None if pid is None else int(pid),
                token_file=Path(str(token_file)) if token_file else None,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return found if found.pid is None or _is_alive(found.pid) else None

    def write(self, path: Path) -> None:
        """Write it for its user alone, whole or not at all."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.new")
        partial.unlink(missing_ok=True)
        facts = {
            "address": self.address,
            "pid": self.pid,
            "token_file": str(self.token_file) if self.token_file else None,
        }
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
        partial.replace(path)


def canonical(address: str) -> str:
    """Write the names of this machine alike: who listens everywhere is called by them, too."""
    host, separator, port = address.rpartition(":")
    if separator and host in _ANY_OR_OWN and port.isdigit():
        return f"127.0.0.1:{port}"
    return address


def servers_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's announcements, which XDG_STATE_HOME moves."""
    state = environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "isthmus" / "servers"


def announcement_file(address: str, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file that announces who listens at an address."""
    return servers_folder(environ) / f"{quote(canonical(address), safe='')}.json"


def own_token_file(address: str, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file for the token of a control plane that was not told of another; kept, so that it comes back alike."""
    return announcement_file(address, environ=environ).with_suffix(".token")


def sweep(folder: Path, *, keeping: Path) -> None:
    """Remove what dead processes announced, with the tokens beside it, but for one address."""
    for path in folder.glob("*.json"):
        if path != keeping and Announcement.read(path) is None:
            path.unlink(missing_ok=True)
    for token in folder.glob("*.token"):
        announcement = token.with_suffix(".json")
        if announcement != keeping and not announcement.exists():
            token.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # It lives, under another user.
        return True
    except (OSError, OverflowError):
        return False
    return True
