"""The control plane's settings: environment variables in, one validated object out."""

from pathlib import Path
from typing import Annotated, Final

from isthmus_lifecycle import settings
from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_PREFIX: Final = "ISTHMUS_CONTROL_PLANE_"
#: A hundred years: a calendar has room for it.
_MOST_DAYS: Final = 36_525
#: What to do about a missing variable.
_REMEDIES: Final = {
    "ISTHMUS_BROKER_URL": "set it to RabbitMQ's address, as in amqp://user:password@host:5672/vhost",
    "ISTHMUS_DATABASE_URL": "set it to the database, as in sqlite:////var/lib/isthmus/isthmus.db or "
    "postgresql://user:password@host/isthmus",
}


class ControlPlaneSettings(BaseSettings):
    """How one control plane runs. Times are in seconds, sizes in bytes.

    ``ISTHMUS_BROKER_URL`` and ``ISTHMUS_DATABASE_URL`` are shared with the other services, ``ISTHMUS_API_TOKEN`` and
    ``ISTHMUS_API_TOKEN_FILE`` with the command line; every other variable is the attribute's name in capitals behind ``ISTHMUS_CONTROL_PLANE_``.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, populate_by_name=True, extra="ignore", frozen=True)

    #: RabbitMQ's address, as in `amqp://user:password@host:5672/vhost`.
    broker_url: str = Field(validation_alias=AliasChoices("broker_url", "ISTHMUS_BROKER_URL"), min_length=1, repr=False)
    #: Where the state is, as in `sqlite:////var/lib/isthmus/isthmus.db` or `postgresql://user:password@host/isthmus`.
    database_url: str = Field(
        validation_alias=AliasChoices("database_url", "ISTHMUS_DATABASE_URL"), min_length=1, repr=False
    )
    #: Where the API listens; port 0 takes any free one.
    listen: str = "127.0.0.1:7070"
    #: What callers of the API must send; it comes before the token of a file.
    api_token: str = Field(default="", validation_alias=AliasChoices("api_token", "ISTHMUS_API_TOKEN"), repr=False)
    #: The file that holds the token, made when it is not there. Without both, one among the user's state, by the address.
    api_token_file: Annotated[Path | None, BeforeValidator(lambda path: path or None)] = Field(
        default=None, validation_alias=AliasChoices("api_token_file", "ISTHMUS_API_TOKEN_FILE")
    )
    #: Queues that telemetry is spread over: as many monitors may work side by side.
    monitor_shards: int = Field(default=1, ge=1, le=64)
    #: The largest message that the API takes or gives. Snapshots and run configs decide the number.
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=64 * 1024, le=256 * 1024 * 1024)
    #: Watches and log streams that one connection may hold open at once.
    max_streams_per_connection: int = Field(default=500, ge=1, le=100_000)
    #: An agent that takes a launch later than this does nothing and says so. At the least it is two minutes more than the
    #: location's load time-out, or its agent's: a launch waits for an import for as long as that may take.
    launch_timeout_s: float = Field(default=300.0, gt=0)
    #: How long after its deadline a command without a result is given up. Telemetry of a started run has this long to
    #: arrive once the broker is back.
    expiry_grace_s: float = Field(default=60.0, ge=0)
    #: After this much silence of an agent its commands are given up, whatever became of them. Above the monitor's
    #: limit for a silent agent, which decides about runs.
    silence_limit_s: float = Field(default=1200.0, gt=0)
    #: How long FetchLogs waits for an agent, when the caller's deadline is not nearer.
    question_timeout_s: float = Field(default=10.0, gt=0)
    #: How long ValidateRun waits, which runs the definitions' own code.
    validate_timeout_s: float = Field(default=30.0, gt=0)
    #: How long a launch, or the question whether one is valid, waits for a location that serves and is being loaded anew;
    #: 0 to use the code that serves meanwhile.
    reload_wait_s: float = Field(default=0.0, ge=0, le=300)
    #: How often the queue and the outbox are looked through when nothing wakes them.
    sweep_interval_s: float = Field(default=2.0, gt=0)
    #: How often what is old is removed. What is kept is said in days, and 0 keeps for ever; docs/retention.md has the table.
    retention_interval_s: float = Field(default=600.0, gt=0)
    #: Runs that ended, with their events, tags and attempts. The state of assets stays.
    keep_runs_days: float = Field(default=90.0, ge=0, le=_MOST_DAYS)
    #: Commands that were settled; what they said is forgotten at once.
    keep_instructions_days: float = Field(default=7.0, ge=0, le=_MOST_DAYS)
    #: Alerts and their deliveries. For a day after a run's end its alert is what keeps it from being told again.
    keep_alerts_days: float = Field(default=90.0, ge=0, le=_MOST_DAYS)
    #: Messages that nobody could use.
    keep_dead_letters_days: float = Field(default=30.0, ge=0, le=_MOST_DAYS)
    #: So many messages that nobody could use at the most, whatever their age; 0 for any number.
    keep_dead_letters: int = Field(default=10_000, ge=0)
    #: So many generations of each location, the newest ones, can be rolled back to; 0 for all.
    keep_generations: int = Field(default=50, ge=0)
    #: Snapshots of definitions after no location refers to them any more.
    keep_snapshots_days: float = Field(default=7.0, ge=0, le=_MOST_DAYS)
    #: Ticks of schedules and sensors that asked for runs, or failed.
    keep_ticks_days: float = Field(default=90.0, ge=0, le=_MOST_DAYS)
    #: Ticks that were skipped.
    keep_skipped_ticks_days: float = Field(default=7.0, ge=0, le=_MOST_DAYS)
    #: Run keys that a sensor has not asked for since: until then each is good for one run.
    keep_run_keys_days: float = Field(default=400.0, ge=0, le=_MOST_DAYS)
    #: What automation conditions came to.
    keep_evaluations_days: float = Field(default=30.0, ge=0, le=_MOST_DAYS)
    #: Backfills that ended, with what came of each of their partitions. Their runs are kept as any other.
    keep_backfills_days: float = Field(default=90.0, ge=0, le=_MOST_DAYS)
    #: Who wiped which asset.
    keep_wipes_days: float = Field(default=400.0, ge=0, le=_MOST_DAYS)
    #: How long the evaluation of a schedule or a sensor may take. One that takes longer is tried again, three times in all.
    tick_deadline_s: float = Field(default=60.0, gt=0, le=3600)
    #: How many evaluations of one location are under way at once.
    ticks_at_once: int = Field(default=16, ge=1, le=150)
    #: How long nobody begins ticks or removes what is old after the control plane that did so died.
    lease_duration_s: float = Field(default=6.0, ge=1, le=3600)
    #: How long calls in hand may take at shutdown.
    drain_timeout_s: float = Field(default=5.0, ge=0)


def load_settings() -> ControlPlaneSettings:
    """Read the environment.

    Raises:
        SettingsError: Has a line for each variable that is missing or wrong, with what to do.
    """
    return settings.load_settings(ControlPlaneSettings, remedies=_REMEDIES)
