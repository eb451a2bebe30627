"""In which line of a YAML text something stands."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

Path = tuple[int | str, ...]


def line_of(text: str, path: Sequence[int | str]) -> int | None:
    """Return the line, counted from 1, of what a path leads to, or of the deepest part of it that is there."""
    return next((lines[part] for lines in [_lines(text)] for part in _beginnings(path) if part in lines), None)


def _beginnings(path: Sequence[int | str]) -> Iterator[Path]:
    whole = tuple(path)
    return (whole[:size] for size in range(len(whole), 0, -1))


def _lines(text: str) -> dict[Path, int]:
    try:
        return dict(_walk(yaml.compose(text, Loader=yaml.SafeLoader), ()))
    except yaml.YAMLError:
        return {}


def _walk(node: Any, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _walk(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*path, index)
            yield inner, value.start_mark.line + 1
            yield from _walk(value, inner)
