"""What user code logs while a schedule or a sensor is evaluated, within bounds."""

from typing import Final

from isthmus.v1.telemetry_pb2 import Evaluation, LogLine

#: So many lines are told, the first ones.
MOST_LINES: Final = 1000
#: So much is told of all lines together, and of one line, bytes.
MOST_BYTES: Final = 512 * 1024
MOST_LINE_BYTES: Final = 16 * 1024


class EvaluationLog:
    """Collects the lines of one evaluation."""

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._size = 0
        self._left_out = 0

    def take(self, line: LogLine) -> None:
        """Take a line, or count it when there is no more room."""
        if line.ByteSize() > MOST_LINE_BYTES:
            line = _shortened(line)
        size = line.ByteSize()
        if self._left_out or len(self._lines) >= MOST_LINES or self._size + size > MOST_BYTES:
            self._left_out += 1
            return
        self._lines.append(line)
        self._size += size

    def evaluation(self, *, duration_s: float) -> Evaluation:
        """Tell how the evaluation went."""
        return Evaluation(log_lines=self._lines, lines_left_out=self._left_out, duration_s=duration_s)


def _shortened(line: LogLine) -> LogLine:
    """Return the line with the beginning of its text, and of its failure no more than what it is called."""
    text = line.message.encode()[: MOST_LINE_BYTES // 2].decode(errors="ignore")
    short = LogLine(level=line.level, message=f"{text}… ({len(line.message)} characters)")
    short.occurred_at.CopyFrom(line.occurred_at)
    if line.HasField("failure"):
        short.failure.error_class = line.failure.error_class[:200]
        short.failure.message = line.failure.message[: MOST_LINE_BYTES // 16]
    return short
