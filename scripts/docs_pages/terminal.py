"""What stands on a terminal after a program wrote to it: as much of a terminal as our commands use, and no colours."""

import re

_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|[\x00-\x1f]|[^\x00-\x1f\x1b]+")


class Terminal:
    """The lines that were written, those that have scrolled away included."""

    def __init__(self, *, columns: int) -> None:
        self._columns = columns
        self._lines: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    @property
    def text(self) -> str:
        """What stands there, without spaces at the ends of lines."""
        return "\n".join("".join(line).rstrip() for line in self._lines).rstrip()

    def write(self, written: str) -> None:
        """Take what a program wrote."""
        for token in _TOKEN.finditer(written):
            if token[2]:
                self._control(token[2], int(token[1]) if token[1].isdigit() else 1)
            elif token[0] == "\n":
                self._go_to_row(self._row + 1)
            elif token[0] == "\r":
                self._column = 0
            elif token[0][0] >= " ":
                self._put(token[0])

    def _put(self, text: str) -> None:
        for letter in text:
            if self._column == self._columns:
                self._go_to_row(self._row + 1)
                self._column = 0
            line = self._lines[self._row]
            line.extend(" " * (self._column + 1 - len(line)))
            line[self._column] = letter
            self._column += 1

    def _control(self, letter: str, number: int) -> None:
        match letter:
            case "A":
                self._row = max(0, self._row - number)
            case "B":
                self._go_to_row(self._row + number)
            case "G":
                self._column = number - 1
            case "K":
                # 2K has the number 2: the whole line; else what stands after the cursor.
                del self._lines[self._row][0 if number == 2 else self._column :]  # noqa: PLR2004 - the control's own number
            case "J":
                del self._lines[self._row + 1 :]
                del self._lines[self._row][self._column :]

    def _go_to_row(self, row: int) -> None:
        self._row = row
        while len(self._lines) <= row:
            self._lines.append([])
