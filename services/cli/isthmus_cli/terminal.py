"""What may reach a terminal: the one place that everything goes through which the command line and `isthmus dev` print.

Names, tags, messages, metadata and definitions are user code's to choose. Some characters are not for reading but do
something: they move the cursor, rename the window, fill the clipboard, turn the order of letters around. None of them is
written; each is shown by its number instead. Our own colours are marks until here, so that they cannot be mistaken for
what a text brought along.
"""

import codecs
import io
import re
from typing import TextIO

#: By which codes of Select Graphic Rendition text is coloured, and the mark of each: characters that no text has, by Unicode.
_CODES = ("1", "2", "31", "32", "33", "36")
MARKS = {code: chr(0xFDD0 + index) for index, code in enumerate(_CODES)}
UNMARK = chr(0xFDEF)
_SEQUENCES = {mark: f"\x1b[{code}m" for code, mark in MARKS.items()} | {UNMARK: "\x1b[0m"}
_MARK = re.compile("[\ufdd0-\ufdef]")

#: C0 but for the tab, DEL, C1, what turns the direction of writing, and separators that some terminals take for line ends.
_CONTROLS = "\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[{_CONTROLS}]")
#: The same within a JSON document, whose own line ends are among the first.
_BEYOND_ASCII = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_NAMES = {"\n": "\\n", "\r": "\\r"}

_COLOUR = r"\x1b\[[0-9;:]*m"
#: In output: a colour as it is, a line's end, or something to escape.
_IN_OUTPUT = re.compile(f"({_COLOUR}|\r?\n)|([{_CONTROLS}])")
#: What may become one of the first two with the next piece. A colour is never this long.
_UNFINISHED = re.compile(r"(?:\r|\x1b(?:\[[0-9;:]{0,64})?)\Z")


def terminal_line(text: str, *, is_colored: bool) -> str:
    """Make one line fit for a terminal, or for a file that somebody will look at on one."""
    escaped = _CONTROL.sub(_shown, text)
    if not _MARK.search(escaped):
        return escaped
    if not is_colored:
        return _MARK.sub("", escaped)
    # A mark that a text brought along may colour it, and does so to the end of its line at the most.
    ended = escaped if escaped.endswith(UNMARK) else escaped + UNMARK
    return _MARK.sub(lambda found: _SEQUENCES.get(found[0]) or _shown(found), ended)


def terminal_lines(text: str, *, is_colored: bool) -> str:
    """Make a text of several lines fit for a terminal."""
    return "\n".join(terminal_line(line, is_colored=is_colored) for line in text.split("\n"))


def json_text(document: str) -> str:
    """Write in a JSON document as escapes what JSON itself allows and a terminal should not get; its meaning stays."""
    return _BEYOND_ASCII.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def visible(text: str) -> str:
    """Return what a person sees of a line: escapes in full, colours not at all."""
    return _MARK.sub("", _CONTROL.sub(_shown, text))


def tolerate_encodings(*streams: TextIO) -> None:
    """Let a stream show by its number what its encoding does not have, instead of failing."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class OutputFilter:
    """Makes the output of a program fit for a terminal as it comes: its colours pass, everything else is escaped."""

    def __init__(self) -> None:
        # A piece may end within a character, and within a colour's sequence.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._unfinished = ""

    def feed(self, data: bytes, *, is_last: bool = False) -> str:
        """Take a piece; returns what can be shown by now."""
        text = self._unfinished + self._decoder.decode(data, final=is_last)
        self._unfinished = ""
        if not is_last and (found := _UNFINISHED.search(text)):
            self._unfinished, text = found[0], text[: found.start()]
        return _IN_OUTPUT.sub(lambda found: found[1] or _shown(found), text)


def _shown(found: "re.Match[str]") -> str:
    character = found[0]
    number = ord(character)
    return _NAMES.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")  # noqa: PLR2004 - a byte
