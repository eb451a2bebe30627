"""How large the year is."""

from dataclasses import dataclass

from isthmus_control_plane.settings import ControlPlaneSettings

#: Everything is kept for less than a month, so that the first month ends as every later one should.
KEPT_DAYS = 28
MONTH = 30


@dataclass(frozen=True, kw_only=True)
class Plan:
    days: int = 365
    runs_a_day: int = 5_000
    #: Of them, so many are launched one by one by the API's own desk; the others are written as it writes them, many at a time.
    launched_a_day: int = 10
    agents: int = 4
    locations: int = 20
    assets_of_location: int = 25
    #: Assets with partitions, of each location.
    partitioned: int = 5
    #: The most that an asset has of them; each comes up within the first month.
    most_partitions: int = 24
    kept_days: float = KEPT_DAYS

    @property
    def partitions(self) -> int:
        """How many partitions an asset has: each run makes two assets, and all are made before the first run is removed."""
        made = 2 * self.runs_a_day * int(self.kept_days)
        return max(1, min(self.most_partitions, made // (self.locations * self.assets_of_location)))

    def settings(self, database_url: str) -> ControlPlaneSettings:
        days = self.kept_days
        return ControlPlaneSettings(
            broker_url="amqp://guest:guest@127.0.0.1:5672/",
            database_url=database_url,
            keep_runs_days=days,
            keep_alerts_days=days,
            keep_dead_letters_days=days,
            keep_instructions_days=min(7, days),
            keep_snapshots_days=min(7, days),
            keep_generations=2,
        )
