"""The cron forms and the zones by which our times are compared with Dagster's."""

from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from itertools import takewhile
from typing import Final

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
END: Final = datetime(2027, 1, 2, tzinfo=UTC)
#: When the reference was made: Dagster counts hourly minutes by the zone's offset of that moment.
PRESENT: Final = datetime(2026, 7, 1, tzinfo=UTC)

ZONES: Final = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Antarctica/Troll",
)

FORMS: Final[tuple[tuple[str, ...], ...]] = (
    *(
        (form,)
        for form in (
            "0 * * * *",
            "15 * * * *",
            "*/30 * * * *",
            "5,35 * * * *",
            "0-10/5 * * * *",
            "@hourly",
            "@daily",
            "@weekly",
            "@monthly",
            "@yearly",
            "0 0 * * *",
            "30 0 * * *",
            "30 1 * * *",
            "0 2 * * *",
            "30 2 * * *",
            "59 2 * * *",
            "0 3 * * *",
            "30 3 * * *",
            "0 12 * * *",
            "59 23 * * *",
            "0 2 * * 0",
            "30 2 * * sun",
            "30 1 * * 7",
            "0 0 * * 0",
            "30 2 * * 1-5",
            "30 2 * * 0,6",
            "0 9 * * mon-fri",
            "30 2 1 * *",
            "0 0 15 * *",
            "30 2 28 * *",
            "30 2 29 * *",
            "0 0 31 * *",
            "30 2 L * *",
            "0 0 L * *",
            "0 6 29 2 *",
            "30 2 25 10 *",
            "30 2 29 mar *",
            "0 0 1 jan,jul *",
            "0 0 1 */3 *",
            "0 0 1 nov-feb *",
            "0 9 * * 5#2",
            "30 2 * * sun#1",
            "0 9 * * L5",
            "30 1 * * L0",
            "0 0 13 * 5",
            "30 2 1,15 * mon",
            "0 0 */10 * *",
            "0 */2 * * *",
            "30 */3 * * *",
            "*/30 1-3 * * *",
            "15,45 0-5 * * *",
            "*/20 9-17 * * 1-5",
            "0 22-2 * * *",
        )
    ),
    ("0 0 * * *", "30 2 * * *"),
    ("0 9 * * 1-5", "30 2 * * 0,6", "0 9 * * *"),
)


def digest(times: Iterable[datetime]) -> list[int | str]:
    """Return how many times fall into the year, and a digest of them."""
    stamps = [int(it.timestamp()) for it in takewhile(lambda it: it.timestamp() < END.timestamp(), times)]
    return [len(stamps), sha256(" ".join(map(str, stamps)).encode()).hexdigest()[:16]]
