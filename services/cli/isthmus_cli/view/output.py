"""Writes results: lines for people, documents for scripts."""

import sys
from collections.abc import Iterable

from google.protobuf.message import Message

from isthmus_cli.document import dump, to_document


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line about the command itself, not its result, to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_document(message: Message) -> None:
    """Write one message as an indented JSON document."""
    print_lines([dump(to_document(message))])


def print_documents(messages: Iterable[Message]) -> None:
    """Write messages as one JSON list."""
    print_lines([dump([to_document(message) for message in messages])])


def print_document_line(message: Message) -> None:
    """Write one message as one line of a JSON stream."""
    print_lines([dump(to_document(message), is_line=True)])
