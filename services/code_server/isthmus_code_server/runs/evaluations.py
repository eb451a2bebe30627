"""Evaluations of schedules and sensors: few children at a time, each of which answers one question after another.

A child that is forked for a single question costs more than most questions do. So one that has answered waits a moment
for the next. It has one question at a time: when its process ends over it, nobody else's is lost.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import Message

from isthmus_code_server.errors import ChildLostError
from isthmus_code_server.runs.attempt import read_answer
from isthmus_code_server.runs.zygote_link import Child, ZygoteLink
from isthmus_code_server.zygote.wire import FrameKind, frame

#: Evaluations that are under way at once; more wait.
AT_ONCE: Final = 16
#: Questions that one child answers: what user code leaves behind in it does not grow for ever.
MOST_ANSWERS: Final = 50
#: How long a child waits for its next question, seconds.
_IDLE_S: Final = 1.0


@dataclass(eq=False)
class _Worker:
    child: Child
    answers: int = 0
    #: Lets it go when nobody asks; None while it answers.
    goodbye: asyncio.TimerHandle | None = None


@dataclass
class Evaluations:
    """Has children answer questions that change nothing."""

    zygote: ZygoteLink
    #: How many are under way at once; more wait.
    at_once: int = AT_ONCE
    _idle: list[_Worker] = field(default_factory=list, init=False)
    _room: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.at_once)

    async def ask(self, kind: FrameKind, request: Message, *, question: str) -> bytes:
        """Have a child answer. A caller that gives up ends its child, and nobody else's.

        Raises:
            NotLoadedError: The definitions are not loaded.
            ZygoteLostError: The definitions are gone.
            ChildLostError: A child that was forked for this question ended before it answered.
        """
        payload = request.SerializeToString()
        async with self._room:
            while (worker := self._take_idle()) is not None:
                # What it had answered before may be what it ends of now: that is no answer to this question.
                worker.child.writer.write(frame(kind, payload))
                if (answer := await self._answer(worker)) is not None:
                    return answer
            worker = _Worker(await self.zygote.fork(kind, payload))
            if (answer := await self._answer(worker)) is not None:
                return answer
            child_exit = await worker.child.ended()
        raise ChildLostError(question, exit_code=child_exit.exit_code, signal=child_exit.signal)

    def close(self) -> None:
        """Let the children go that wait for questions."""
        while (worker := self._take_idle()) is not None:
            worker.child.close()

    async def _answer(self, worker: _Worker) -> bytes | None:
        """Wait for a child's answer; None when it ended, or was ended, without one."""
        answer: bytes | None = None
        try:
            answer = await read_answer(worker.child)
        finally:
            if answer is None:
                # Also where the caller has given up: nobody wants to know any more.
                worker.child.abandon()
        if answer is not None:
            self._let_rest(worker)
        return answer

    def _let_rest(self, worker: _Worker) -> None:
        worker.answers += 1
        if worker.answers >= MOST_ANSWERS:
            worker.child.close()
            return
        worker.goodbye = asyncio.get_running_loop().call_later(_IDLE_S, self._dismiss, worker)
        self._idle.append(worker)

    def _dismiss(self, worker: _Worker) -> None:
        self._idle.remove(worker)
        worker.child.close()

    def _take_idle(self) -> _Worker | None:
        """Take the child that answered last: those that are not needed go."""
        while self._idle:
            worker = self._idle.pop()
            if worker.goodbye is not None:
                worker.goodbye.cancel()
            if not worker.child.is_gone:
                return worker
            worker.child.close()
        return None
