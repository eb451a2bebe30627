"""What can go wrong with the database: transient faults are worth another try, permanent ones are not."""


class StoreError(Exception):
    """Root of everything that this package raises."""


class TransientStoreError(StoreError):
    """The same call may succeed later."""


class DatabaseUnavailableError(TransientStoreError):
    """The database did not answer, or broke off; whether an open transaction was committed is unknown."""

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(
            f"The database cannot be reached: {detail}. "
            "Check that it runs and that ISTHMUS_DATABASE_URL names it; the call may be repeated."
        )


class DatabaseBusyError(TransientStoreError):
    """Another transaction was in the way (lock timeout, deadlock, serialization); nothing was written."""

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(f"The database was busy: {detail}. Nothing was written; repeat the transaction.")


class LeaseLostError(TransientStoreError):
    """Another process took over the work; nothing was written."""

    def __init__(self, *, name: str, number: int) -> None:
        self.name = name
        self.number = number
        super().__init__(
            f"Lease {name!r} is no longer held under number {number}: another process took over. "
            "Nothing was written, and nothing has to be done."
        )


class PermanentStoreError(StoreError):
    """Another try would fail the same way."""


class UnsupportedDatabaseError(PermanentStoreError):
    """The address names a database that this package does not speak."""

    def __init__(self, *, scheme: str) -> None:
        self.scheme = scheme
        super().__init__(
            f"The database address starts with {scheme!r}, which is not supported. Use "
            "sqlite:///path/to/file.db or postgresql://user:password@host:5432/name in ISTHMUS_DATABASE_URL."
        )


class SchemaMismatchError(PermanentStoreError):
    """The database was written by another release whose schema this one does not know."""

    def __init__(self, *, found: str, known: str) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"The database has schema revision {found}, this release knows up to {known}. "
            "Start the release that wrote it, or a newer one."
        )


class UnusableDatabaseError(PermanentStoreError):
    """The database itself is at fault: its schema, its rights, its file. Nothing will work before someone mends it."""

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(
            f"The database cannot be used: {detail}. Check that migrations ran (Database.migrate), "
            "and that the account of ISTHMUS_DATABASE_URL may read and write its tables."
        )


class RejectedWriteError(PermanentStoreError):
    """The database refused what a statement carries: a constraint, a wrong value. Other statements are not concerned."""

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(f"The database refused a value: {detail}.")


class UnknownRunError(PermanentStoreError):
    """No run has this id."""

    def __init__(self, *, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"There is no run {run_id!r}. Insert it before anything is recorded about it.")


class InvalidCursorError(PermanentStoreError):
    """A page token that this package did not make."""

    def __init__(self, *, token: str) -> None:
        self.token = token
        super().__init__(f"{token[:80]!r} is not a page token. Use next_page_token of the page before, unchanged.")
