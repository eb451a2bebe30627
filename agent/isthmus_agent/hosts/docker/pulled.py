"""Images that this agent pulled: those that nothing is started from any more are removed after a time.

An engine has images of others, too. So it is written down which ones came by the agent's own pulls. The engine itself keeps
those that a container was made from, whoever made it, and those that somebody has given a name of his own.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import read_plain, replace_plain
from pydantic import TypeAdapter, ValidationError

from isthmus_agent.hosts.docker.engine import Engine

log = get_logger(__name__)

#: As many of them are remembered; the oldest beyond that are the engine's owner's.
_MOST_REMEMBERED: Final = 1_000


@dataclass(frozen=True)
class PulledImage:
    """An image of our own."""

    id: str
    #: The name by which it was pulled.
    reference: str
    #: Since when nothing is to be started from it, seconds since the epoch; None while something is.
    superseded_at: float | None = None


_FORMAT: Final = TypeAdapter(list[PulledImage])


class PulledImages:
    """What was pulled, in memory and on disk."""

    def __init__(self, engine: Engine, *, file: Path, kept_s: float, clock: Callable[[], float] = time.time) -> None:
        """Remember in `file`; what is superseded is kept for `kept_s` seconds, 0 for ever."""
        self._engine = engine
        self._file = file
        self._kept_s = kept_s
        self._clock = clock
        self._images = {image.id: image for image in _load(file)}
        #: The names that servers may be started from; None before that is known.
        self._wanted: frozenset[str] | None = None
        self._boundary = Boundary("image")

    def note_pulled(self, image: str, *, reference: str) -> None:
        """Remember an image that was not there before it was pulled."""
        self._images[image] = PulledImage(image, reference)
        for oldest in list(self._images)[:-_MOST_REMEMBERED]:
            del self._images[oldest]
        self._save()

    def want(self, references: Collection[str]) -> None:
        """Take notice of all the names that servers may be started from."""
        self._wanted = frozenset(references)

    async def tidy(self) -> None:
        """Remove what has been superseded for long enough.

        Raises:
            EngineUnavailableError, EngineRefusedError: The engine does not tell what it has.
        """
        if self._wanted is None or not self._kept_s or not self._images:
            return
        found = [await self._engine.image(reference) for reference in sorted(self._wanted)]
        wanted = {image.id for image in found if image is not None}
        for image in list(self._images.values()):
            with self._boundary.guard(image=image.reference):
                await self._judge(image, is_wanted=image.id in wanted)

    async def _judge(self, image: PulledImage, *, is_wanted: bool) -> None:
        now = self._clock()
        since = None if is_wanted else image.superseded_at if image.superseded_at is not None else now
        if since != image.superseded_at:
            self._images[image.id] = replace(image, superseded_at=since)
            self._save()
        # A clock that was set back makes the time longer, never shorter.
        if since is None or now - since < self._kept_s:
            return
        await self._engine.remove_image(image.id)
        if await self._engine.image(image.id) is None:
            log.info("image_removed", image=image.reference, id=image.id)
            del self._images[image.id]
            self._save()

    def _save(self) -> None:
        replace_plain(self._file, _FORMAT.dump_json(list(self._images.values())))


def _load(file: Path) -> list[PulledImage]:
    try:
        return _FORMAT.validate_json(read_plain(file))
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        # They are the engine's owner's from now on.
        log.warning("pulled_images_forgotten", file=str(file), error=str(error))
        return []
