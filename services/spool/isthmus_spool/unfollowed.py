"""Opens files of attempts without following links.

User code can put anything where its attempt lies, also a link to a file of someone else's. An agent that keeps containers
may read and write more than they may: it must not be led elsewhere.
"""

import errno
import os
import stat

#: The file, its folder and that one's: as deep as user code can reach, and its location's folder.
_LEVELS = 3
_NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC
_ON_THE_WAY = os.O_PATH | os.O_DIRECTORY | _NO_LINKS


def open_unfollowed(path: str, flags: int) -> int:
    """Open a file, as an `opener` of `open`; one that is made is for this user alone.

    Raises:
        FileNotFoundError: it is not there, or there is a link on the way, or anything but a file in its place.
        OSError: it cannot be opened.
    """
    *start, name = path.rsplit("/", _LEVELS)
    folder = os.open(start[0] or "/" if start else ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in start[1:]:
            inner = os.open(part, _ON_THE_WAY, dir_fd=folder)
            os.close(folder)
            folder = inner
        # A pipe in its place must not make us wait for its other end.
        return _checked(os.open(name, flags | _NO_LINKS | os.O_NONBLOCK, 0o600, dir_fd=folder), path=path)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}:
            raise _missing(path) from error
        raise
    finally:
        os.close(folder)


def _checked(file: int, *, path: str) -> int:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _missing(path)
    return file


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
