"""Every way in which the console itself can fail. What the control plane refuses comes as the client's errors."""


class ConsoleError(Exception):
    """Root of this package's errors: `str(error)` says what failed, `remedy` what to do now."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class PermanentConsoleError(ConsoleError):
    """Starting again would not help: a person has to mend something."""


class AddressTakenError(PermanentConsoleError):
    """Something else listens where the console should."""

    def __init__(self, listen: str, *, reason: str) -> None:
        super().__init__(
            f"the console cannot listen at {listen}: {reason}. Stop what listens there, or set ISTHMUS_CONSOLE_LISTEN to another "
            "address"
        )
        self.listen = listen


class NotBuiltError(PermanentConsoleError):
    """The scripts and styles of the pages are not there."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"the pages' scripts are not built: {folder} lacks them. In a working tree, run: make install")


class QueryError(ConsoleError):
    """The address of a page asks for something that there is not."""

    def __init__(self, name: str, *, value: str, remedy: str) -> None:
        super().__init__(f"{name}={value} is not usable.", remedy=remedy)
        self.name = name
        self.value = value


class ForgeryError(ConsoleError):
    """A request that changes something does not come from a page of this console."""

    def __init__(self) -> None:
        super().__init__(
            "This did not come from a page of this console, so nothing was changed.",
            remedy="Load the page again and repeat what you did there.",
        )
