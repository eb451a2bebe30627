"""Closes the attempts of a code server that is gone: publishes what they had still to say, and then their end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from isthmus_broker.relay import Relay
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.backlog import JournalBacklog
from isthmus_spool.errors import JournalError
from isthmus_spool.journal import JournalReader, JournalWriter, repair

from isthmus_agent.attempts.closing import closing_event, has_ended, note_damage
from isthmus_agent.attempts.ledger import AttemptLedger, Holding
from isthmus_agent.clock import now
from isthmus_agent.hosts.host import ServerExit
from isthmus_agent.run_key import RunKey

log = get_logger(__name__)


class Salvage:
    """What dead code servers left behind, on its way to the monitor.

    Nothing of a server runs any more when its exit is told, so the agent is the only writer of these journals.
    """

    def __init__(
        self,
        *,
        ledger: AttemptLedger,
        publisher: TelemetryPublisher,
        runs_dir: Callable[[str], Path],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Close attempts of `ledger`, each as one of `tasks`; `runs_dir` tells the folder of a location's attempts."""
        self._ledger = ledger
        self._publisher = publisher
        self._runs_dir = runs_dir
        self._tasks = tasks
        self._open: set[RunKey] = set()
        self._boundary = Boundary("attempt to be closed")

    @property
    def open_attempts(self) -> frozenset[RunKey]:
        """The attempts whose end is not published yet: the agent vouches for them until it is."""
        return frozenset(self._open)

    def begin_unseen(self, *, living: frozenset[str]) -> None:
        """Close what is held by servers that ended while the agent was away; `living` are the lives that go on."""
        for holding in self._ledger.all():
            if holding.incarnation not in living:
                self._begin(holding, ending=None)

    def begin(self, ending: ServerExit, *, output: str = "") -> None:
        """Close what a server held whose end was seen; `output` is the end of what it wrote."""
        for holding in self._ledger.held_by(ending.server.incarnation):
            self._begin(holding, ending=ending, output=output)

    def _begin(self, holding: Holding, *, ending: ServerExit | None, output: str = "") -> None:
        with self._boundary.guard(run_id=holding.run_id, attempt=holding.attempt):
            self._begin_one(holding, ending=ending, output=output)

    def _begin_one(self, holding: Holding, *, ending: ServerExit | None, output: str) -> None:
        folder = AttemptFolder.for_run(self._runs_dir(holding.location), holding.key.to_proto())
        if not folder.is_claimed or folder.is_done:
            self._ledger.forget(holding.key)
        elif holding.key not in self._open:
            self._open.add(holding.key)
            close = self._close(holding, folder=folder, ending=ending, output=output)
            self._tasks.create_task(close, name=f"close {holding.key}")

    async def _close(self, holding: Holding, *, folder: AttemptFolder, ending: ServerExit | None, output: str) -> None:
        facts = {"run_id": holding.run_id, "attempt": holding.attempt, "server": holding.server}
        # Whatever keeps one attempt from being closed, the monitor closes its run when nobody vouches for it any more.
        with self._boundary.guard(**facts):
            try:
                was_ended = await self._publish_rest(holding, folder=folder, ending=ending, output=output)
            except (JournalError, OSError) as error:
                # A damaged journal or a full disk.
                log.error("attempt_not_closed", **facts, error=str(error))  # noqa: TRY400 (the message says it all)
            else:
                self._ledger.forget(holding.key)
                log.warning("attempt_closed", **facts, had_ended_itself=was_ended)
        self._open.discard(holding.key)

    async def _publish_rest(
        self, holding: Holding, *, folder: AttemptFolder, ending: ServerExit | None, output: str
    ) -> bool:
        was_ended = await asyncio.to_thread(end_journal, folder, holding=holding, ending=ending, output=output)
        relay = Relay(JournalBacklog(folder), self._publisher)
        relay.finish()
        await relay.run()
        return was_ended


def end_journal(folder: AttemptFolder, *, holding: Holding, ending: ServerExit | None, output: str = "") -> bool:
    """Make sure that a journal whose writers are gone ends with a last word; return whether it had one."""
    offset, _ = folder.published()
    # From the beginning, too: the last word may be confirmed already, with only the mark of it missing.
    if _is_ended(folder) or _is_ended(folder, offset=offset):
        return True
    damage = repair(folder.journal, offset=offset).damage
    event = closing_event(
        folder.ref,
        server=holding.server,
        ending=ending,
        is_cancel_requested=holding.is_cancel_requested,
        output=output,
    )
    if damage:
        note_damage(event, problem=damage)
    event.occurred_at.CopyFrom(now())
    writer = JournalWriter(folder.journal)
    try:
        writer.append(event)
    finally:
        writer.close()
    return False


def _is_ended(folder: AttemptFolder, *, offset: int = 0) -> bool:
    """Whether the last word is among what can be read behind an offset."""
    reader = JournalReader(folder.journal, offset=offset)
    # What is damaged is cut off, or was published before.
    with suppress(JournalError):
        while (batch := reader.read()).events:
            if has_ended(batch.events):
                return True
            reader.advance(batch)
    return False
