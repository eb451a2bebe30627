"""YAML and JSON text into JSON's own types."""

import json
import re
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from isthmus_cli.errors import InputError

#: So many values a short text may stand for: aliases make few lines stand for billions.
_MOST_VALUES: Final = 100_000
_REMEDY: Final = "Give YAML or JSON."
#: The tag of `<<`, which may stand there twice.
_MERGE: Final = "tag:yaml.org,2002:merge"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _RepeatedKeyError(ValueError):
    """A key stands twice in an object of JSON."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} stands there twice")


class _JsonLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Knows JSON's types alone: a date stays the text that was written. A key stands once in a map, and aliases grow no bombs."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Refuse a key that stands twice, as it was written: later on, keys of other maps are merged in."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            said = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if said is not None and said in seen and key.tag != _MERGE:
                problem = f"the key {key.value!r} stands there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(said)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge other maps in, though not without end."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_VALUES:
            raise yaml.constructor.ConstructorError(None, None, "too much is merged into a map", node.start_mark)


_JsonLoader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, *, origin: str) -> Any:
    """Parse YAML or JSON.

    Raises:
        InputError: Names the origin, line and column.
    """
    try:
        loaded = _loaded(text)
        size = _size(loaded, seen={}, above=frozenset())
    except _RepeatedKeyError as error:
        raise InputError(f"{origin}: {error}.", remedy="Keep one of the two.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InputError(f"{origin}{where}: {problem}.", remedy=_REMEDY) from error
    except ValueError as error:
        # Also a number of a form that Python does not know.
        raise InputError(f"{origin}: {error}.", remedy=_REMEDY) from error
    except RecursionError as error:
        raise InputError(f"{origin}: it is nested too deeply.", remedy=_REMEDY) from error
    # What is written out never stands for more values than it has characters.
    if size > max(_MOST_VALUES, len(text)):
        problem = f"its few lines stand for {size:,} values, as aliases repeat others"
        raise InputError(f"{origin}: {problem}.", remedy="Write out what is meant.")
    return loaded


def _loaded(text: str) -> Any:
    # JSON first: it is the faster parser, and YAML is not quite a superset.
    try:
        return json.loads(text, object_pairs_hook=_once_each)
    except _RepeatedKeyError:
        raise
    except ValueError:
        return yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - derived from SafeLoader


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _RepeatedKeyError(name)
        found[name] = value
    return found


def _size(value: Any, *, seen: dict[int, int], above: frozenset[int]) -> int:
    """Count the values that a value stands for, without going twice through what an alias repeats."""
    inner: list[Any] | tuple[Any, ...]
    match value:
        case dict():
            inner = (*value, *value.values())
        case list():
            inner = value
        case str() if not value.isascii() and _SURROGATE.search(value):
            raise ValueError("half a character stands there, as \\ud800 is one")
        case _:
            return 1
    if id(value) in above:
        raise ValueError("a part of it contains itself")
    if id(value) not in seen:
        held_by = above | {id(value)}
        seen[id(value)] = 1 + sum(_size(it, seen=seen, above=held_by) for it in inner)
    return seen[id(value)]
