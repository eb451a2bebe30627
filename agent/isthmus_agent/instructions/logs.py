"""FetchLogs: reads an attempt's output from its files, and waits for more of it when it is asked to."""

import asyncio

from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.log_cursors import starting_cursors
from isthmus_broker.topology import is_valid_name
from isthmus_lifecycle.number import clamped
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.output import read_output, read_value
from isthmus_spool.values import is_value_name

from isthmus_agent.errors import LogsNotFoundError
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.outcome import Failed, Later, Outcome, Succeeded, Violation
from isthmus_agent.instructions.step_course import StepCourse, read_step
from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.run_key import RunKey

DEFAULT_MAX_BYTES = 256 * 1024
#: No answer carries more: it is one message at the broker.
LARGEST_MAX_BYTES = 8 * 1024 * 1024
#: No question is kept longer, seconds.
LONGEST_WAIT_S = 30.0
#: How often files are looked at while somebody waits for more, seconds: a fifth of what a person notices.
LOOK_INTERVAL_S = 0.05
#: So many questions may wait for output at once; one more is answered at once, and asked again.
MOST_WAITING = 200


class LogHandler:
    """Reads output."""

    def __init__(self, tools: RunTools) -> None:
        """Work with what the handlers of runs share."""
        self._tools = tools
        self._waiting = 0

    async def handle(self, body: instruction.FetchLogs, envelope: Envelope) -> Outcome | Later:
        """Return a piece of the output from the cursors on, as much as the answer may carry; or wait for one."""
        key = RunKey.of(body.run)
        if not key.is_valid or not is_valid_name(body.location):
            return Failed(0, violations=(Violation("run.run_id", "This is no run of this agent."),))
        if body.value_sha256 and not is_value_name(body.value_sha256):
            return Failed(0, violations=(Violation("value_sha256", "This is no SHA-256 in lower-case hexadecimal."),))
        look = _Look(self._tools.folder(body.location, key), body)
        outcome = await asyncio.to_thread(look.now)
        asked_s = clamped(body.wait_s, least=0.0, most=LONGEST_WAIT_S)
        wait_s = envelope.left_s(at_most=asked_s)
        if wait_s <= 0 or _is_telling(outcome) or self._waiting >= MOST_WAITING:
            return outcome
        return Later(lambda: self._wait(look, wait_s=wait_s))

    async def _wait(self, look: "_Look", *, wait_s: float) -> Outcome:
        """Look again and again until there is something to tell, or the time is over."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait_s
        self._waiting += 1
        try:
            while True:
                await asyncio.sleep(LOOK_INTERVAL_S)
                outcome = await asyncio.to_thread(look.now)
                if _is_telling(outcome) or clock() >= deadline:
                    return outcome
        finally:
            self._waiting -= 1


class _Look:
    """Looks at an attempt's output for one question, as often as need be."""

    def __init__(self, folder: AttemptFolder, body: instruction.FetchLogs) -> None:
        self._folder = folder
        self._cursors = starting_cursors(body.cursors)
        self._max_bytes = min(body.max_bytes or DEFAULT_MAX_BYTES, LARGEST_MAX_BYTES)
        self._value = body.value_sha256
        self._course = StepCourse(body.step_key) if body.step_key else None

    def now(self) -> Outcome:
        """Return what there is behind the cursors."""
        if not self._folder.is_claimed:
            return Failed.of(0, LogsNotFoundError(run=f"{self._folder.run_id}.{self._folder.attempt}"))
        if self._value:
            return self._of_value()
        # Looked at before reading: what was written until the end is then among what is read.
        is_ended = self._folder.is_done
        if self._course is not None:
            return self._of_step(self._course, is_ended=is_ended)
        read = read_output(self._folder, cursors=self._cursors, has_all_steps=True, max_bytes=self._max_bytes)
        return Succeeded(telemetry.LogAnswer(chunks=read.chunks, is_complete=is_ended and read.is_whole))

    def _of_value(self) -> Outcome:
        """Return the next piece of a value: it was whole before anybody could hear of it."""
        try:
            offset = self._cursors[0].offset
            read = read_value(self._folder, self._value, offset=offset, max_bytes=self._max_bytes)
        except FileNotFoundError:
            text = (
                "The run keeps no such value; the notes of its events and their field `cuts` name those that it keeps."
            )
            return Failed(0, violations=(Violation("value_sha256", text),))
        return Succeeded(telemetry.LogAnswer(chunks=read.chunks, is_complete=read.is_whole))

    def _of_step(self, course: StepCourse, *, is_ended: bool) -> Outcome:
        course.read(self._folder)
        if is_ended and not course.is_known:
            known = ", ".join(sorted(course.seen)) or "none"
            text = f"The run has no step {course.step_key!r}; it has: {known}."
            return Failed(0, violations=(Violation("step_key", text),))
        is_over = is_ended or course.is_over
        read = read_step(self._folder, course, cursors=self._cursors, max_bytes=self._max_bytes)
        return Succeeded(telemetry.LogAnswer(chunks=read.chunks, is_complete=is_over and read.is_whole))


def _is_telling(outcome: Outcome) -> bool:
    """Tell whether there is something that whoever waits does not know yet."""
    if not isinstance(outcome, Succeeded) or not isinstance(outcome.answer, telemetry.LogAnswer):
        return True
    return bool(outcome.answer.chunks) or outcome.answer.is_complete
