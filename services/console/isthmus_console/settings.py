"""The console's settings: environment variables in, one validated object out."""

from typing import Final

from isthmus_client.discovery import find_server
from isthmus_lifecycle import settings
from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX: Final = "ISTHMUS_CONSOLE_"


class ConsoleSettings(BaseSettings):
    """How one console runs.

    ``ISTHMUS_SERVER``, ``ISTHMUS_DEPLOYMENT``, ``ISTHMUS_API_TOKEN`` and ``ISTHMUS_API_TOKEN_FILE`` are shared with the
    command line; every other variable is the attribute's name in capitals behind ``ISTHMUS_CONSOLE_``.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, populate_by_name=True, extra="ignore", frozen=True)

    #: The control plane's address, as in `127.0.0.1:7070`; without it, the one that the command line would find.
    server: str = Field(default="", validation_alias=AliasChoices("server", "ISTHMUS_SERVER"))
    #: The deployment that is shown.
    deployment: str = Field(
        default="default", min_length=1, validation_alias=AliasChoices("deployment", "ISTHMUS_DEPLOYMENT")
    )
    #: Where browsers are served; port 0 takes any free one. What listens beyond this machine belongs behind a proxy with TLS.
    listen: str = Field(default="127.0.0.1:7071", pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:/\[\]]+):\d{1,5}$")
    #: Names by which browsers reach the console beside those of this machine, as a JSON list: `["isthmus.example.com"]`.
    #: What comes under another name is refused, so that no foreign page can talk to the console as if it were its own.
    hosts: tuple[str, ...] = ()
    #: How long a browser stays signed in.
    session_days: float = Field(default=30.0, gt=0, le=3650)
    #: How long requests in hand may take at shutdown.
    drain_timeout_s: float = Field(default=5.0, ge=0)

    @property
    def address(self) -> str:
        """Where the control plane is: as it is named, or as the command line finds it."""
        return find_server(self.server)


def load_settings() -> ConsoleSettings:
    """Read the environment.

    Raises:
        SettingsError: Has a line for each variable that is wrong, with what to do.
    """
    return settings.load_settings(ConsoleSettings)
