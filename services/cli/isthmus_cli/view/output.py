"""Writes results: lines for people, documents for scripts."""

import sys
from collections.abc import Iterable

from google.protobuf.message import Message

from isthmus_cli.document import dump, to_document
from isthmus_cli.terminal import terminal_line, terminal_lines
from isthmus_cli.view.paint import Paint


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout."""
    is_colored = Paint.of().is_colored
    sys.stdout.write("".join(f"{terminal_line(line, is_colored=is_colored)}\n" for line in lines))
    sys.stdout.flush()


def note(text: str) -> None:
    """Write something about the command itself, not its result, to stderr."""
    sys.stderr.write(f"{terminal_lines(text, is_colored=Paint.of(sys.stderr).is_colored)}\n")
    sys.stderr.flush()


def print_json(text: str) -> None:
    """Write a JSON document to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_document(message: Message) -> None:
    """Write one message as an indented JSON document."""
    print_json(dump(to_document(message)))


def print_documents(messages: Iterable[Message]) -> None:
    """Write messages as one JSON list."""
    print_json(dump([to_document(message) for message in messages]))


def print_document_line(message: Message) -> None:
    """Write one message as one line of a JSON stream."""
    print_json(dump(to_document(message), is_line=True))
