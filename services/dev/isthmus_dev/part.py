"""The services as parts of one process: started in order, stopped in order, and none may die unseen."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from isthmus_cli.file_fault import error_text
from isthmus_lifecycle.leaves import leaves
from isthmus_lifecycle.log import get_logger

from isthmus_dev.errors import DevError, PartDiedError

log = get_logger(__name__)

#: Builds a service's coroutine from the events that stop it and that tell that it is ready.
Service = Callable[[asyncio.Event, asyncio.Event], Coroutine[Any, Any, None]]


@dataclass
class Part:
    """A running service."""

    name: str
    log_file: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(cls, group: asyncio.TaskGroup, service: Service, *, name: str, log_file: str) -> "Part":
        """Start a service in the group and return when it is ready.

        When the service dies, the group fails with PartDiedError, which also ends this wait.
        """
        part = cls.begin(group, service, name=name, log_file=log_file)
        await part.started.wait()
        return part

    @classmethod
    def begin(cls, group: asyncio.TaskGroup, service: Service, *, name: str, log_file: str) -> "Part":
        """Start a service in the group and return at once."""
        part = cls(name=name, log_file=log_file)
        group.create_task(part._run(service), name=name)
        return part

    async def finish(self) -> None:
        """Tell the service to stop, and return when it has."""
        self.stop.set()
        await self._ended.wait()

    async def _run(self, service: Service) -> None:
        try:
            await service(self.stop, self.started)
        except Exception as error:
            cause = leaves(error)[0]
            if isinstance(cause, DevError):
                raise cause from error
            log.exception("part_died", part=self.name)
            raise PartDiedError(self.name, reason=error_text(cause), log_file=self.log_file) from error
        finally:
            self._ended.set()
        if not self.stop.is_set():
            raise PartDiedError(self.name, reason="it ended by itself", log_file=self.log_file)
