"""Ends what runs leave behind: a run has ended only when no process that it started lives.

Each run's process adopts the orphans below it, whatever sessions and groups they made for themselves. When it ends, they
come to the zygote, which therefore has no orphans but those of runs that have just ended: they are given a moment to end
by themselves, are then told to, and killed if they do not. Only then is the run's exit told to the supervisor.

A process may fork and end faster than anybody looks: of such a chain only the dead are ever seen. So nothing is over while a
look finds dead ones, their groups are told and killed as wholes, which no fork escapes, and who leaves even its group is chased.
"""

import os
import signal
import time
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from isthmus_code_server.kernel.family import children_of, descendants_of, group_of, name_of, session_of
from isthmus_code_server.zygote.wire import Exited

#: How long what a run left is only watched, seconds: helpers that end with their parent, such as multiprocessing's
#: resource tracker, need some milliseconds.
PATIENCE_S = 0.1
#: How long it may take to end after SIGTERM before it is killed, seconds.
GRACE_S = 5.0
#: Between two looks at what was killed, or may have forked before it died, seconds.
_LOOK_S = 0.02
#: Between two looks while they are waited for, seconds: who loses its parent comes without a word.
_WATCH_S = 0.25
#: How often it is looked again at once where a look has found dead ones: mostly nothing comes of them.
_LOOKS = 3
#: How long what forks and ends faster than it is seen is chased at a time, seconds.
_CHASE_S = 0.05
#: How long after SIGKILL it is given up, seconds: others' ends must not wait for it for ever.
_GIVE_UP_S = 10.0
#: How many names of programs are told.
_NAMES = 10


@dataclass(kw_only=True, eq=False)
class Departure:
    """What a run, or several that ended in one moment, left behind."""

    exits: list[Exited]
    began_at: float
    #: The orphans and all below them that were seen: what is below an orphan becomes one when that ends.
    members: set[int] = field(default_factory=set)
    #: The orphans that live, or are not reaped yet.
    orphans: set[int] = field(default_factory=set)
    #: The groups of the dead that the last look found, and the names of their programs.
    fleeting: dict[int, str] = field(default_factory=dict)
    #: Who was told to end, or whose group, and the name of its program.
    told: dict[int, str] = field(default_factory=dict)
    #: Who may not be told: processes that took on another user's rights.
    beyond: set[int] = field(default_factory=set)

    @property
    def pids(self) -> set[int]:
        """The processes of the runs that ended, each of them the leader of a session."""
        return {exited.pid for exited in self.exits}

    @property
    def kill_at(self) -> float:
        """When SIGKILL is due: a run that was killed outright, or that left nothing time to end, leaves nothing that is waited for."""
        was_killed = all(os.WIFSIGNALED(one.status) and os.WTERMSIG(one.status) == signal.SIGKILL for one in self.exits)
        return self.began_at + PATIENCE_S + (0.0 if was_killed else GRACE_S)

    def is_over(self, now: float) -> bool:
        """Tell whether nothing of it is left, or what is left cannot be caught."""
        return not self.orphans and (not self.fleeting or now >= self.kill_at + _GIVE_UP_S)

    def due_at(self, now: float) -> float:
        """Return when there is something to do, if nothing happens before."""
        if now >= self.kill_at:
            return now + _LOOK_S
        return self.began_at + PATIENCE_S if not self.told else min(self.kill_at, now + _WATCH_S)

    def step(self, now: float) -> None:
        """Do what is due: watch, tell to end, or kill."""
        for pid in list(self.orphans):
            self.members |= descendants_of(pid)
        if now < self.began_at + PATIENCE_S:
            return
        number = signal.SIGKILL if now >= self.kill_at else signal.SIGTERM
        for orphan in self.orphans:
            for pid in (orphan, *descendants_of(orphan)):
                if number is signal.SIGKILL or pid not in self.told:
                    self.told.setdefault(pid, name_of(pid))
                    self._tell(pid, number)
        for group, name in self.fleeting.items():
            if number is signal.SIGKILL or group not in self.told:
                self.told.setdefault(group, name)
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)

    def _tell(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            self.beyond.add(pid)

    def told_exits(self) -> list[Exited]:
        """Return the exits, with what was left behind."""
        names = "\n".join([name for name in self.told.values() if name][:_NAMES])
        return [replace(exited, left=len(self.told), left_names=names) for exited in self.exits]


class Orphans:
    """The departures that are under way."""

    def __init__(self, *, spared: Iterable[int] | None = None) -> None:
        """Take for the project's own what started while the project was imported.

        Args:
            spared: These processes; without, what lives below this one now.
        """
        self._spared = children_of(os.getpid()) if spared is None else {*spared}
        self._session = session_of(os.getpid())
        self._departures: list[Departure] = []
        self._fresh: list[Exited] = []

    def note(self, exited: Exited) -> None:
        """Take a run that has ended; its exit is told by `look` once nothing of it is left."""
        self._fresh.append(exited)

    def wait_s(self) -> float | None:
        """Return how long nothing is due, seconds; None for ever."""
        now = time.monotonic()
        return min((max(0.0, one.due_at(now) - now) for one in self._departures), default=None)

    def look(self, *, ours: Container[int]) -> list[Exited]:
        """See to what was left behind; returns the exits that may be told.

        Args:
            ours: The children that live and were started by the zygote itself.
        """
        if self._fresh:
            self._departures.append(Departure(exits=self._fresh, began_at=time.monotonic()))
            self._fresh = []
        if not self._departures:
            return []
        for _ in range(_LOOKS):
            self._assign(ours)
            if not any(one.fleeting for one in self._departures):
                break
        now = time.monotonic()
        over = [one for one in self._departures if one.is_over(now)]
        self._departures = [one for one in self._departures if not one.is_over(now)]
        for departure in self._departures:
            departure.step(now)
        if any(one.fleeting and now >= one.kill_at for one in self._departures):
            self._chase(ours, until=now + _CHASE_S)
        return [exited for one in over for exited in one.told_exits()]

    def _assign(self, ours: Container[int]) -> None:
        """Find the orphans, reap the dead, and give each of the others to the departure that it belongs to."""
        for departure in self._departures:
            self._spared |= departure.beyond
            departure.orphans, departure.fleeting = set(), {}
        for pid in self._found(ours):
            departure = self._departure_of(pid, session_of(pid))
            group, name = group_of(pid), name_of(pid)
            if not _reap(pid):
                departure.orphans.add(pid)
                departure.members.add(pid)
            elif group > 1:
                departure.fleeting[group] = name

    def _found(self, ours: Container[int]) -> list[int]:
        """Return the orphans of runs that have ended, the dead among them."""
        # Runs have sessions of their own: what is in the zygote's was started by the project's import.
        return [
            pid
            for pid in children_of(os.getpid())
            if pid not in ours and pid not in self._spared and session_of(pid) != self._session
        ]

    def _chase(self, ours: Container[int], *, until: float) -> None:
        """Kill whom SIGKILL is due for in the moment in which it is there, and reap the dead, so that a look costs little."""
        while (now := time.monotonic()) < until and (found := self._found(ours)):
            for pid in found:
                if now >= self._departure_of(pid, session_of(pid)).kill_at:
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                    _reap(pid)

    def _departure_of(self, pid: int, session: int) -> Departure:
        for departure in self._departures:
            if pid in departure.members or session in departure.pids:
                return departure
        # Whatever was not seen before came with the last run that ended: each that lives keeps its own orphans.
        return self._departures[-1]


def _reap(pid: int) -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True
