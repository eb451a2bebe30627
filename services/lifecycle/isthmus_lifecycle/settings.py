"""Settings from environment variables, and what is said of those that cannot be used."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings

S = TypeVar("S", bound=BaseSettings)


class SettingsError(Exception):
    """Settings are missing or wrong: the message has a line for each, with what to do."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        """Take what is wrong, by the name of the variable."""
        self.faults = dict(faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults.values())
        super().__init__(f"the settings are not usable:\n{lines}")


def load_settings(kind: type[S], *, remedies: Mapping[str, str] | None = None) -> S:
    """Read a class of settings from the environment.

    Args:
        kind: The settings, whose fields are variables behind its prefix, or named by a validation alias.
        remedies: What to do about a variable that is not set, by its name.

    Raises:
        SettingsError: Has a line for each variable that is missing or wrong.
    """
    try:
        return kind.model_validate({})
    except ValidationError as error:
        faults: dict[str, str] = {}
        for one in error.errors(include_input=False, include_url=False):
            variable, text = _fault(kind, one["loc"], one["type"], one["msg"], remedies=remedies or {})
            faults.setdefault(variable, text)
        raise SettingsError(faults) from error


def _fault(
    kind: type[BaseSettings], location: Sequence[int | str], what: str, text: str, *, remedies: Mapping[str, str]
) -> tuple[str, str]:
    if not location:
        return _fault_of_all(kind, text)
    first, *rest = location
    variable = _variables(kind).get(str(first), str(first))
    if what == "missing" and not rest:
        return variable, f"{variable} is not set: {remedies.get(variable, 'set it')}"
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    return variable, f"{variable}{place} is not usable: {text.removeprefix('Value error, ')}"


def _fault_of_all(kind: type[BaseSettings], text: str) -> tuple[str, str]:
    # pydantic-settings says it so, of a field that holds a document.
    named = re.search(r'error parsing value for field "(\w+)"', text)
    if named is None:
        return "", text.removeprefix("Value error, ")
    variable = _variables(kind)[named[1]]
    return variable, f"{variable} is not usable: it is not JSON"


def _variables(kind: type[BaseSettings]) -> dict[str, str]:
    """Return the variable of each name by which an error may call a field."""
    prefix = kind.model_config.get("env_prefix", "")
    found: dict[str, str] = {}
    for name, field in kind.model_fields.items():
        aliases = _aliases(field.validation_alias)
        variable = next((alias for alias in aliases if alias.isupper()), f"{prefix}{name.upper()}")
        found |= dict.fromkeys((name, *aliases), variable)
    return found


def _aliases(alias: Any) -> list[str]:
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [choice for choice in choices if isinstance(choice, str)]
