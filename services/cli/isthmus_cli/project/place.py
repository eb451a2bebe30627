"""Where a project is started from, and the settings of a location that is loaded from there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import CodeSource

ENV_FILE = ".env"


@dataclass(frozen=True)
class Place:
    """A folder, as the current directory in which `dagster dev` would have been started."""

    folder: Path

    def settings(
        self, name: str, source: CodeSource, *, working_directory: Path | None = None, env_file: Path | None = None
    ) -> LocationSettings:
        """Complete a source to a location: it runs in this folder and reads its .env, and another one over it."""
        source.working_directory = str(working_directory or self.folder)
        source.current_directory = str(self.folder)
        own = self.folder / ENV_FILE
        source.env_files.append(str(own))
        if env_file is not None and env_file != own:
            source.env_files.append(str(env_file))
        return LocationSettings(name=name, source=source)

    def absolute(self, path: str) -> Path:
        """Return a path that may be relative to this folder, or start with ~."""
        return Path(os.path.normpath(self.folder / Path(path).expanduser()))

    def environment(self) -> Mapping[str, str]:
        """Return the variables of this process, and of the folder's .env over them."""
        path = self.folder / ENV_FILE
        if not path.is_file():
            return os.environ
        from dotenv import dotenv_values

        return os.environ | {name: value for name, value in dotenv_values(path).items() if value is not None}
