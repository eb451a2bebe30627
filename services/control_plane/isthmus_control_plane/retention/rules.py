"""What is kept, and for how long: the settings as moments before which things are old. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from isthmus_control_plane.settings import ControlPlaneSettings

#: The monitor tells a failure anew that it finds without an alert within a day: whoever removed it earlier would tell it twice.
_LEAST_ALERT_DAYS: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What is old at one moment; None, and 0 of a number, keep for ever."""

    at: datetime
    runs_ended_before: datetime | None
    instructions_settled_before: datetime | None
    alerts_created_before: datetime | None
    dead_letters_received_before: datetime | None
    snapshots_idle_before: datetime | None
    ticks_ended_before: datetime | None
    ticks_skipped_before: datetime | None
    run_keys_asked_before: datetime | None
    evaluations_made_before: datetime | None
    backfills_ended_before: datetime | None
    wiped_before: datetime | None
    #: So many of the newest are kept.
    dead_letters: int
    #: So many of the newest of each location are kept.
    generations: int

    @classmethod
    def of(cls, settings: ControlPlaneSettings, *, at: datetime) -> Self:
        """Apply the settings to a moment."""
        return cls(
            at=at,
            runs_ended_before=_before(settings.keep_runs_days, at=at),
            instructions_settled_before=_before(settings.keep_instructions_days, at=at),
            alerts_created_before=_before(_alert_days(settings), at=at),
            dead_letters_received_before=_before(settings.keep_dead_letters_days, at=at),
            snapshots_idle_before=_before(settings.keep_snapshots_days, at=at),
            ticks_ended_before=_before(settings.keep_ticks_days, at=at),
            ticks_skipped_before=_before(settings.keep_skipped_ticks_days, at=at),
            run_keys_asked_before=_before(settings.keep_run_keys_days, at=at),
            evaluations_made_before=_before(settings.keep_evaluations_days, at=at),
            backfills_ended_before=_before(settings.keep_backfills_days, at=at),
            wiped_before=_before(settings.keep_wipes_days, at=at),
            dead_letters=settings.keep_dead_letters,
            generations=settings.keep_generations,
        )


def _alert_days(settings: ControlPlaneSettings) -> float:
    return max(settings.keep_alerts_days, _LEAST_ALERT_DAYS) if settings.keep_alerts_days else 0


def _before(days: float, *, at: datetime) -> datetime | None:
    return at - timedelta(days=days) if days else None
