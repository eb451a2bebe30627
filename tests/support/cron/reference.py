"""Dagster's own times, and reference.json, which holds a year of them as digests.

Written anew, with the Dagster that is to be the reference, by: PYTHONPATH=tests python -m support.cron.reference
"""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import dropwhile
from pathlib import Path
from typing import Any, Final

from support.cron.forms import BEGIN, FORMS, PRESENT, ZONES, digest

REFERENCE: Final = Path(__file__).with_name("reference.json")


def stored() -> dict[str, dict[str, list[int | str]]]:
    """Return the digests by zone and form."""
    times: dict[str, dict[str, list[int | str]]] = json.loads(REFERENCE.read_text())["times"]
    return times


def dagster_times(form: tuple[str, ...], zone: str, *, begin: datetime = BEGIN) -> Iterator[datetime]:
    """Yield the times after a beginning as the Dagster of this interpreter has them."""
    from dagster._utils import schedules

    cron: Any = form[0] if len(form) == 1 else list(form)
    found = schedules.schedule_execution_time_iterator(begin.timestamp(), cron, zone)
    return dropwhile(lambda it: it <= begin, found)


def main() -> None:
    """Write the file."""
    import dagster
    from dagster._time import get_timezone
    from dagster._utils import schedules

    def has_minutes(name: str) -> bool:
        offset = PRESENT.astimezone(get_timezone(name)).utcoffset()
        return offset is not None and offset.total_seconds() % 3600 != 0

    # Dagster asks for the offset of the moment at which it runs.
    changed: Any = schedules
    changed.has_nonzero_minute_offset = has_minutes
    answers = {zone: {" | ".join(form): digest(dagster_times(form, zone)) for form in FORMS} for zone in ZONES}
    REFERENCE.write_text(json.dumps({"dagster": dagster.__version__, "times": answers}, indent=1) + "\n")


if __name__ == "__main__":
    main()
