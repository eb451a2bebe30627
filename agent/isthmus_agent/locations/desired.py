"""The desired set of locations on disk, so that a restarted agent serves before anybody speaks to it."""

from pathlib import Path

from google.protobuf.message import DecodeError
from isthmus.v1 import instruction_pb2 as instruction
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import read_plain, replace_plain

log = get_logger(__name__)


class DesiredFile:
    """The last SyncLocations that was taken; for this user alone, as it may carry secrets in its environments."""

    def __init__(self, path: Path) -> None:
        """Keep it at `path`."""
        self._path = path

    def load(self) -> instruction.SyncLocations:
        """Return what was saved; an empty set of revision 0 when there is nothing, or nothing readable."""
        try:
            return instruction.SyncLocations.FromString(read_plain(self._path))
        except FileNotFoundError:
            return instruction.SyncLocations()
        except (OSError, DecodeError) as error:
            log.warning("desired_locations_unreadable", path=str(self._path), error=str(error))
            return instruction.SyncLocations()

    def save(self, desired: instruction.SyncLocations) -> None:
        """Replace what was saved, whole or not at all, and on the disk before this returns."""
        replace_plain(self._path, desired.SerializeToString(), is_synced=True)
