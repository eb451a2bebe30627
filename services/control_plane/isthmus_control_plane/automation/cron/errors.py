"""What is wrong with a cron expression or a zone."""


class CronError(Exception):
    """An expression that names no times; the text names the field."""

    def __init__(self, expression: str, *, field: str, problem: str) -> None:
        super().__init__(f"{expression!r}: {field} {problem}")
        self.expression = expression
        self.field = field
        self.problem = problem


class UnknownZoneError(Exception):
    """A time zone that this machine's database does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"time zone {name!r} is not known; use a name as in 'Europe/Berlin'")
        self.name = name
