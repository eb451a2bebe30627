"""The account that a private node runs under."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """The account that the node's processes run under; `uid` None means ours."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def for_data(cls, data_dir: Path) -> "Account":
        """Choose an account: ours, unless we are root and an unprivileged one can reach the folder."""
        if os.geteuid() != 0:
            return cls()
        for name in ("rabbitmq", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            if all(_can_enter(folder, entry=entry) for folder in data_dir.resolve().parents):
                return cls(uid=entry.pw_uid, gid=entry.pw_gid)
        return cls()

    def own(self, folder: Path) -> None:
        """Give a folder, and everything in it, to this account."""
        if self.uid is None or self.gid is None:
            return
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    @property
    def options(self) -> list[str]:
        """What `setpriv` must be told to change to this account."""
        if self.uid is None or self.gid is None:
            return []
        return [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]


def _can_enter(folder: Path, *, entry: pwd.struct_passwd) -> bool:
    facts = folder.stat()
    if facts.st_uid == entry.pw_uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == entry.pw_gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)
