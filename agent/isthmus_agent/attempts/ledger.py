"""Which code server holds which attempt: written before the server is asked to start it, so that it outlives both."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from isthmus_broker.topology import is_valid_name
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import make_way, read_plain, replace_plain
from pydantic import TypeAdapter, ValidationError

from isthmus_agent.run_key import RunKey

log = get_logger(__name__)

_DRAFT_SUFFIX = ".new"


@dataclass(frozen=True)
class Holding:
    """An attempt and its holder."""

    run_id: str
    attempt: int
    location: str
    server: str
    #: The life of the server that was asked.
    incarnation: str
    #: Whether someone asked for its end: then an end unseen is a cancellation.
    is_cancel_requested: bool = False
    #: Whether the server is the attempt's own.
    is_dedicated: bool = False

    @property
    def key(self) -> RunKey:
        """The attempt."""
        return RunKey(self.run_id, self.attempt)


_FORMAT: Final = TypeAdapter(Holding)


class AttemptLedger:
    """Every attempt that this agent answers for, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier life of the agent wrote into `folder`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._holdings = {holding.key: holding for holding in self._load()}

    def get(self, key: RunKey) -> Holding | None:
        """Return who holds an attempt."""
        return self._holdings.get(key)

    def put(self, holding: Holding) -> None:
        """Remember a holder, in place of an earlier one."""
        if self._holdings.get(holding.key) == holding:
            return
        replace_plain(self._path(holding.key), _FORMAT.dump_json(holding))
        self._holdings[holding.key] = holding

    def mark_cancel_requested(self, key: RunKey) -> None:
        """Remember that the attempt is to end."""
        holding = self._holdings.get(key)
        if holding is not None:
            self.put(replace(holding, is_cancel_requested=True))

    def forget(self, key: RunKey) -> None:
        """Answer for an attempt no longer: it never started, or all of it is published."""
        if self._holdings.pop(key, None) is not None:
            self._path(key).unlink(missing_ok=True)

    def all(self) -> tuple[Holding, ...]:
        """Return everything that is held."""
        return tuple(self._holdings.values())

    def held_by(self, incarnation: str) -> tuple[Holding, ...]:
        """Return what one life of a server holds."""
        return tuple(holding for holding in self._holdings.values() if holding.incarnation == incarnation)

    def _load(self) -> Iterator[Holding]:
        for path in self._folder.iterdir():
            if path.name.endswith(_DRAFT_SUFFIX):
                with suppress(OSError):
                    make_way(path)
                    path.unlink(missing_ok=True)
                continue
            try:
                holding = _FORMAT.validate_json(read_plain(path))
            except (OSError, ValidationError) as error:
                # One that cannot be read costs its own attempt its holder, and no other.
                log.warning("holding_unreadable", path=str(path), error=str(error))
                continue
            if holding.key.is_valid and is_valid_name(holding.location):
                yield holding
            else:
                log.warning("holding_unreadable", path=str(path), error="it names no attempt")

    def _path(self, key: RunKey) -> Path:
        return self._folder / f"{key}.json"
