"""A recording says what stood on the terminal, not what was written to it."""

import re

import pytest
from docs_pages.terminal import Terminal
from support.walkthrough import ROOT


@pytest.mark.parametrize(
    ("written", "standing"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("\x1b[32m✓\x1b[0m done", "✓ done"),
        ("waiting\r\x1b[2Kdone", "done"),
        ("12%\r34%", "34%"),
        ("a\r\nb\r\nc\x1b[2K\r\x1b[1A\x1b[2Kx", "a\nx"),
        ("abcdefghi", "abcdefg\nhi"),
        ("long\r\x1b[Kx", "x"),
        ("\x1b[?25lhid\x1b[?25h", "hid"),
        ("\x1b]0;title\x07text", "text"),
    ],
)
def test_what_was_written_becomes_what_stands_there(written: str, standing: str) -> None:
    terminal = Terminal(columns=7)
    terminal.write(written)
    assert terminal.text == standing


@pytest.mark.parametrize("columns", [80, 120])
def test_recording_fits_its_window_and_tells_nothing_of_the_machine(columns: int) -> None:
    page = (ROOT / "docs/tutorial-session.md").read_text(encoding="utf-8")
    session = page.partition(f"## At {columns} columns\n")[2].partition("\n## At ")[0]
    # Commands are shown as the tutorial has them, and prose is no output.
    printed = [line for line in session.splitlines() if not line.startswith(("$ ", "#"))]
    assert len(printed) > 100
    assert [line for line in printed if len(line) > columns] == []
    assert re.findall(r"/(?:root|tmp|work|var)/\S*|pyenv", page) == []
