"""A table of a person's file, read field by field: what is wrong is told with file, key and remedy."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus_cli.errors import InputError


@dataclass(frozen=True)
class Table:
    """A mapping of a file, and where in the file it stands."""

    values: Mapping[str, Any]
    #: The file.
    origin: str
    #: The way to the table in the file, as in "load_from[0].python_module".
    path: str = ""
    #: Where `{env: NAME}` is looked up.
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    #: Whether the file has a plain text where a table may stand.
    is_short: bool = False

    @classmethod
    def of(cls, value: Any, *, origin: str, path: str = "", environment: Mapping[str, str] | None = None) -> "Table":
        """Take a value of a file as a table.

        Raises:
            InputError: It is none.
        """
        known = os.environ if environment is None else environment
        table = cls(value if isinstance(value, dict) else {}, origin=origin, path=path, environment=known)
        if not isinstance(value, dict):
            raise table.error("", f"is {_kind(value)}", remedy="Write fields and values here.")
        return table

    def error(self, key: str, problem: str, *, remedy: str) -> InputError:
        """Build the error that tells what is wrong with a field, or with the table itself."""
        where = ".".join(part for part in (self.path, key) if part)
        return InputError(f"{self.origin}: {where or 'the file'} {problem}.", remedy=remedy)

    def require_known(self, *keys: str) -> None:
        """Refuse fields that mean nothing.

        Raises:
            InputError: Names the field and those that there are.
        """
        for key in self.values:
            if key not in keys:
                raise self.error(str(key), "is not known", remedy=f"The fields here are: {', '.join(keys)}.")

    def text(self, key: str) -> str:
        """Return a text, which may be `{env: NAME}`; empty when it is not there.

        Raises:
            InputError: It is no text, or its variable is not set.
        """
        value = self.values.get(key)
        if isinstance(value, dict) and set(value) == {"env"}:
            return self._variable(key, str(value["env"]))
        if value is None or isinstance(value, str):
            return value or ""
        raise self.error(key, f"is {_kind(value)}", remedy="Write a text here.")

    def required(self, key: str) -> str:
        """Return a text that has to be there.

        Raises:
            InputError: It is missing, empty or no text.
        """
        text = self.text(key)
        if not text:
            raise self.error(key, "is missing", remedy=f"Write {key} here.")
        return text

    def flag(self, key: str) -> bool:
        """Return a truth value; False when it is not there.

        Raises:
            InputError: It is none.
        """
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"is {_kind(value)}", remedy="Write true or false here.")
        return value

    def table(self, key: str) -> "Table":
        """Return a table within this one; an empty one when it is not there.

        Raises:
            InputError: It is something else.
        """
        return self._inner(self.values.get(key, {}), path=key)

    def short(self, key: str, *, field: str) -> "Table":
        """Return the table that a plain text stands for: one of that field alone.

        Raises:
            InputError: It is no text.
        """
        path = ".".join(part for part in (self.path, key) if part)
        return Table({field: self.required(key)}, self.origin, path, self.environment, is_short=True)

    def tables(self, key: str) -> "list[Table]":
        """Return a list of tables; empty when it is not there.

        Raises:
            InputError: It is no list, or holds something else.
        """
        value = self.values.get(key) or []
        if not isinstance(value, list):
            raise self.error(key, f"is {_kind(value)}", remedy="Write a list here.")
        return [self._inner(item, path=f"{key}[{index}]") for index, item in enumerate(value)]

    def _inner(self, value: Any, *, path: str) -> "Table":
        whole = ".".join(part for part in (self.path, path) if part)
        return Table.of(value, origin=self.origin, path=whole, environment=self.environment)

    def _variable(self, key: str, name: str) -> str:
        value = self.environment.get(name)
        if value is None:
            remedy = f"Set {name} in the environment or in .env beside the file."
            raise self.error(key, f"names the variable {name}, which is not set", remedy=remedy)
        return value


def _kind(value: Any) -> str:
    kinds = {str: "a text", bool: "a truth value", list: "a list", dict: "a table", type(None): "empty"}
    return kinds.get(type(value), "a number")
