"""Credentials for registries, from a file in the form of Docker's own config.json."""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from isthmus_agent.hosts.errors import RegistryConfigError

#: Under this name the file has Docker Hub, and images name it by nothing at all.
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    #: "user:password" in base64, as `docker login` writes it.
    auth: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")
    identity_token: SecretStr = Field(alias="identitytoken", default=SecretStr(""))


class _ConfigFile(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    auths: Mapping[str, _Entry] = {}


def auth_header(reference: str, *, path: Path | None) -> str:
    """Return what the engine is to show the registry of an image; empty when the file has nothing for it.

    The file is read each time, so that credentials can be changed while the agent runs.

    Raises:
        RegistryConfigError: the file is not there, or not in that form.
    """
    if path is None:
        return ""
    key = registry_of(reference)
    entries = _read(path).auths
    entry = entries.get(key) or entries.get(f"https://{key}")
    if entry is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps(_facts(entry, registry=key, path=path)).encode()).decode()


def registry_of(reference: str) -> str:
    """Return the registry of an image, as the file names it."""
    first, slash, _ = reference.partition("/")
    is_host = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    return first if is_host and first not in _HUB_HOSTS else _HUB_KEY


def _facts(entry: _Entry, *, registry: str, path: Path) -> Mapping[str, str]:
    if token := entry.identity_token.get_secret_value():
        return {"identitytoken": token, "serveraddress": registry}
    username, password = entry.username, entry.password.get_secret_value()
    if auth := entry.auth.get_secret_value():
        try:
            username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise RegistryConfigError(path=str(path), problem=f"auth of {registry} is not base64") from error
    return {"username": username, "password": password, "serveraddress": registry}


def _read(path: Path) -> _ConfigFile:
    try:
        return _ConfigFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        # Without the values: they are secrets.
        first = error.errors(include_input=False)[0]
        problem = f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
        raise RegistryConfigError(path=str(path), problem=problem) from None
    except OSError as error:
        raise RegistryConfigError(path=str(path), problem=error.strerror or str(error)) from error
