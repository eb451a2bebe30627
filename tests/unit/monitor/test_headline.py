"""The line that stands for an error's message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_monitor.headline import headline

_DBT = "The dbt CLI process with command\n\n`dbt build`\n\nfailed with exit code `2`. Check the stdout.\n\nErrors parsed:\n"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", ""),
        ("no such table", "no such table"),
        ("\n  it broke  \nThe rest is told elsewhere", "it broke"),
        ("It broke.\nand more", "It broke."),
        ("Two fields are wrong:\na\nb", "Two fields are wrong:"),
        ("could not connect\nto the warehouse", "could not connect to the warehouse"),
        (_DBT, "The dbt CLI process with command `dbt build` failed with exit code `2`."),
    ],
)
def test_it_is_the_first_line_and_what_its_sentence_goes_on_with(message: str, line: str) -> None:
    assert headline(message) == line


@given(st.text(alphabet="aB.`: \n"))
def test_it_is_one_line_of_the_messages_own_words(message: str) -> None:
    line = headline(message)
    assert "\n" not in line
    assert " ".join(message.split()).startswith(" ".join(line.split()))
    assert bool(line) == bool(message.strip())
