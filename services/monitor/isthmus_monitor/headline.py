"""Chooses the one line that stands for an error's message in lists, alerts and on the screen."""

from itertools import takewhile

#: How many lines a sentence may go over.
_MOST_LINES = 4
_ENDS = (".", "!", "?", ":", ";")


def headline(message: str) -> str:
    """Return a message's first line, with those on which its sentence goes on.

    Integrations set what they name apart, as dbt's does: "The process with command", a blank line, "`dbt build`", a blank
    line, "failed with exit code `2`." The first line alone says nothing then.
    """
    first, *rest = [line.strip() for line in message.splitlines() if line.strip()] or [""]
    if first.endswith(_ENDS):
        return first
    more = list(takewhile(_goes_on, rest[: _MOST_LINES - 1]))
    if not more:
        return first
    sentence, stop, _ = " ".join((first, *more)).partition(". ")
    return sentence + stop.rstrip()


def _goes_on(line: str) -> bool:
    return line[0].islower() or line[0] == "`"
