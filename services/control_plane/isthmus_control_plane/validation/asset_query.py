"""Assets in Dagster's selection language: read, and looked up among those that a location defines.

An asset's own key always means that asset, whatever characters it has. Otherwise `a/b`, `+a`, `a++`, `*a` and `a*` go up and
down from a key by so many levels, or by all; `key:`, `group:`, `tag:`, `kind:` and `owner:` compare, with `*` for any text in keys
and groups; `2+key:a+` goes up two levels and down all; `and`, `or`, `not`, parentheses, `sinks(…)` and `roots(…)` combine, and a comma
is an `or`. What holds one of the characters that mean something stands in double quotes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus_control_plane.validation.definition import Asset, AssetPath

Paths = frozenset[AssetPath]

_VALUE: Final = r'(?:"(?P<{0}_quoted>[^"]*)"|(?P<{0}>[^\s()",+=]+))'
_ATTRIBUTE: Final = re.compile(
    r"(?P<name>[a-z_]+):" + _VALUE.format("value") + r"(?:=" + _VALUE.format("second") + r")?"
)
_WORD: Final = re.compile(r'"(?P<word_quoted>[^"]*)"|(?P<word>[^\s()",+]+)')
_CALL: Final = re.compile(r"(sinks|roots)\s*\(", re.IGNORECASE)
_OPERATOR: Final = re.compile(r"(and|or|not)(?=[\s(]|$)", re.IGNORECASE)
_UP: Final = re.compile(r"(\d*)(\++|\*(?=[^\s()*,+]))")
_DOWN: Final = re.compile(r"(\++|(?<=[^\s(,])\*)(\d*)")
_NOTHING: Final = "<null>"
#: Deeper nesting than a person writes.
_MAX_DEPTH: Final = 50
_ALL: Final = -1


class AssetQueryError(Exception):
    """A text is no selection, or selects nothing.

    Attributes:
        why: What is wrong with it.
        missing: The key that no asset has, if that is what is wrong.
    """

    def __init__(self, why: str, *, missing: str = "") -> None:
        self.why = why
        self.missing = missing
        super().__init__(f"The asset selection is not usable: {why}.")


def select(text: str, *, assets: Mapping[AssetPath, Asset], is_to_look: bool = False) -> Paths:
    """Return the assets that a text selects among these.

    Args:
        text: The selection.
        assets: What there is.
        is_to_look: Whether somebody only wants to see them: then not only what can be materialized is meant.

    Raises:
        AssetQueryError: It is no selection, or selects nothing.
    """
    graph = _Graph(assets, is_to_look=is_to_look)
    named = graph.named(text.strip())
    return named or _Reader(text, graph).read()


class _Graph:
    """The assets, and what depends on what."""

    def __init__(self, assets: Mapping[AssetPath, Asset], *, is_to_look: bool) -> None:
        self._assets = assets
        self._children: dict[AssetPath, set[AssetPath]] = {}
        for path, asset in assets.items():
            for parent in asset.parents:
                self._children.setdefault(parent, set()).add(path)
        self.is_to_look = is_to_look
        #: What a selection means that names no asset itself.
        self.all: Paths = frozenset(path for path, asset in assets.items() if is_to_look or asset.is_materializable)

    def named(self, key: str) -> Paths:
        """Return the assets whose keys read so: one that has these very parts comes before others."""
        exact = tuple(key.split("/"))
        if exact in self._assets:
            return frozenset([exact])
        return frozenset(path for path in self._assets if "/".join(path) == key)

    def where(self, test: Callable[[AssetPath, Asset], bool]) -> Paths:
        return frozenset(path for path in self.all if test(path, self._assets[path]))

    def around(self, paths: Paths, *, up: int, down: int) -> Paths:
        """Return the assets with what is above and below them, so many levels far; `_ALL` for all."""
        above = self._reached(paths, self._parents_of, levels=up)
        below = self._reached(paths, lambda path: self._children.get(path, set()), levels=down)
        return paths | ((above | below) & self.all)

    def ends(self, paths: Paths, *, is_below: bool) -> Paths:
        """Return those that have nothing of these below them, or above them."""
        step = (lambda path: self._children.get(path, set())) if is_below else self._parents_of
        return frozenset(
            path for path in paths if not self._reached(frozenset([path]), step, levels=_ALL) & (paths - {path})
        )

    def _parents_of(self, path: AssetPath) -> set[AssetPath]:
        asset = self._assets.get(path)
        return set(asset.parents) if asset is not None else set()

    def _reached(self, paths: Paths, step: "Callable[[AssetPath], set[AssetPath]]", *, levels: int) -> Paths:
        reached, edge = set[AssetPath](), set(paths)
        while edge and levels:
            edge = {near for path in edge for near in step(path)} - reached
            reached |= edge
            levels -= 1
        return frozenset(reached)


@dataclass
class _Reader:
    """Reads one text from left to right."""

    text: str
    graph: _Graph
    at: int = 0
    depth: int = 0

    def read(self) -> Paths:
        found = self._list()
        if self.at < len(self.text):
            raise AssetQueryError(f"{self.text[self.at :]!r} is left over: combine with and, or, or a comma")
        if not found:
            which = "asset" if self.graph.is_to_look else "asset that can be materialized"
            raise AssetQueryError(f"{self.text!r} selects no {which}")
        return found

    def _list(self) -> Paths:
        """Read selections with commas between them; an empty one selects nothing."""
        found: Paths = frozenset()
        while True:  # ends: each turn reads on
            if self._peek() not in ("", ",", ")"):
                found |= self._any()
            if not self._took(","):
                return found

    def _any(self) -> Paths:
        found = self._both()
        while self._operator("or"):
            found |= self._both()
        return found

    def _both(self) -> Paths:
        found = self._not()
        while self._operator("and"):
            found &= self._not()
        return found

    def _not(self) -> Paths:
        return self.graph.all - self._nested(self._not) if self._operator("not") else self._around()

    def _around(self) -> Paths:
        self._peek()
        match = _UP.match(self.text, self.at)
        # One plus means all levels, but before a bare key, where it means one.
        digits, signs = (match[1], match[2]) if match else ("", "")
        self.at = match.end() if match else self.at
        found, is_bare = self._one()
        below = _DOWN.match(self.text, self.at)
        self.at = below.end() if below else self.at
        up = _levels(signs, digits=digits, is_bare=is_bare)
        down = _levels(below[1], digits=below[2], is_bare=is_bare) if below else 0
        return self.graph.around(found, up=up, down=down)

    def _one(self) -> tuple[Paths, bool]:
        """Read what levels can be counted from, and tell whether it is a bare key."""
        if self._took("("):
            return self._closed(), False
        call = _CALL.match(self.text, self.at)
        if call:
            self.at = call.end()
            return self.graph.ends(self._closed(), is_below=call[1].lower() == "sinks"), False
        attribute = _ATTRIBUTE.match(self.text, self.at)
        if attribute and attribute["name"] in _TESTS:
            self.at = attribute.end()
            return self._attribute(attribute), False
        return self._bare()

    def _bare(self) -> tuple[Paths, bool]:
        match = _WORD.match(self.text, self.at)
        if match is None:
            what = repr(self.text[self.at :]) if self.text[self.at :].strip() else "the end of the text"
            raise AssetQueryError(f"{what} stands where an asset is expected")
        key = match["word_quoted"] if match["word_quoted"] is not None else match["word"]
        if key == "*":
            self.at = match.end()
            return self.graph.all, True
        if match["word"] is not None and not self.graph.named(key):
            key = key.rstrip("*")
        found = self.graph.named(key)
        if not found:
            raise AssetQueryError(_unknown(key), missing=key)
        self.at = match.start() + len(key) if match["word"] is not None else match.end()
        return found, True

    def _attribute(self, match: re.Match[str]) -> Paths:
        value = match["value_quoted"] if match["value_quoted"] is not None else match["value"]
        second = match["second_quoted"] if match["second_quoted"] is not None else match["second"]
        if second is not None and match["name"] != "tag":
            raise AssetQueryError(f"{match[0]!r} has two values: only a tag has")
        value = "" if value == _NOTHING else value
        found = self.graph.where(lambda path, asset: _TESTS[match["name"]](path, asset, value, second))
        literal = self.graph.named(value) if match["name"] == "key" else frozenset()
        return found | literal

    def _closed(self) -> Paths:
        found = self._nested(self._list)
        if not self._took(")"):
            raise AssetQueryError(f"a parenthesis of {self.text!r} is not closed")
        return found

    def _nested(self, read: Callable[[], Paths]) -> Paths:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise AssetQueryError(f"it is nested deeper than {_MAX_DEPTH} levels")
        found = read()
        self.depth -= 1
        return found

    def _operator(self, name: str) -> bool:
        self._peek()
        match = _OPERATOR.match(self.text, self.at)
        if match is None or match[1].lower() != name:
            return False
        self.at = match.end()
        return True

    def _took(self, sign: str) -> bool:
        is_there = self._peek() == sign
        self.at += is_there
        return is_there

    def _peek(self) -> str:
        """Return the next character that is no space; empty at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]


def _levels(signs: str, *, digits: str, is_bare: bool) -> int:
    if not signs:
        return 0
    if digits:
        return int(digits[:9])
    return len(signs) if is_bare and signs != "*" else _ALL


def _unknown(key: str) -> str:
    name, colon, _ = key.partition(":")
    if colon and re.fullmatch(r"[a-z_]+", name):
        return f"nothing is known here of {name!r}: compare by {', '.join(f'{it}:' for it in _TESTS)}"
    return f"there is no asset {key!r}"


def _is_like(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL))


def _has_tag(asset: Asset, key: str, value: str | None) -> bool:
    """Compare a tag; `key=value` in one quoted text is the older way to write both."""
    if value is None and key not in asset.tags:
        key, _, value = key.partition("=")
    return key in asset.tags and asset.tags[key] == ("" if value in (None, _NOTHING) else value)


_TESTS: Final[Mapping[str, Callable[[AssetPath, Asset, str, str | None], bool]]] = {
    "key": lambda path, _, value, __: _is_like(value, "/".join(path)),
    "group": lambda _, asset, value, __: _is_like(value, asset.group),
    "tag": lambda _, asset, value, second: _has_tag(asset, value, second),
    "kind": lambda _, asset, value, __: value in asset.kinds if value else not asset.kinds,
    "owner": lambda _, asset, value, __: value in asset.owners if value else not asset.owners,
}
