"""The error words of this room."""


class SpoolError(Exception):
    """What a run left on disk cannot be used."""


class JournalError(SpoolError):
    """A journal's bytes make no sense."""

    def __init__(self, *, path: str, offset: int, problem: str) -> None:
        """Name the file and the place."""
        self.path = path
        self.offset = offset
        self.problem = problem
        super().__init__(f"Journal {path} is damaged at byte {offset}: {problem}.")
