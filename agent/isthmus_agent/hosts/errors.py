"""What starting a code server fails with, and what a container engine says of it."""

from isthmus_agent.errors import PermanentAgentError, TransientAgentError


class ServerStartError(PermanentAgentError):
    """A code server's process could not be started."""

    def __init__(self, *, server: str, problem: str) -> None:
        """Name the server and what the operating system said."""
        self.server = server
        super().__init__(f"Code server {server} could not be started: {problem}.")


class ImageUnavailableError(PermanentAgentError):
    """The image of a container is not there, or could not be pulled."""

    def __init__(self, *, image: str, problem: str) -> None:
        """Name the image and what the engine or the registry said."""
        self.image = image
        super().__init__(f"Image {image} is not available: {problem}.")


class EngineUnavailableError(TransientAgentError):
    """The container engine does not answer."""

    def __init__(self, *, url: str, cause: str) -> None:
        """Name the engine's address and what happened."""
        self.url = url
        super().__init__(
            f"The container engine at {url} does not answer as it should: {cause}. Start it, or correct ISTHMUS_AGENT_DOCKER_URL."
        )


class EngineRefusedError(PermanentAgentError):
    """The container engine answered with an error."""

    def __init__(self, *, call: str, status: int, message: str) -> None:
        """Name the call and give the engine's words; a status of 0 means that they came in the middle of an answer."""
        self.call = call
        self.status = status
        self.message = message
        super().__init__(f"The container engine refused to {call}: {message} (status {status}).")


class DataFolderUnfitError(PermanentAgentError):
    """Containers cannot be given what lies in the agent's data folder."""

    def __init__(self, *, path: str, problem: str) -> None:
        """Name the folder and what is wrong with it."""
        self.path = path
        super().__init__(f"Data folder {path}: {problem}.")


class RegistryConfigError(PermanentAgentError):
    """The file with the registries' credentials cannot be read."""

    def __init__(self, *, path: str, problem: str) -> None:
        """Name the file and what is wrong with it."""
        self.path = path
        super().__init__(f"Registry credentials {path}: {problem}. It has the form of Docker's own config.json.")
