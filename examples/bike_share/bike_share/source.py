"""The world outside, made up: the same day always has the same weather and trips."""

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

DISTRICTS = ("Harbour", "Old Town", "University", "Hillside", "Airport")
STATIONS_PER_DISTRICT = 6


@dataclass(frozen=True)
class Station:
    station_id: int
    name: str
    district: str
    docks: int


@dataclass(frozen=True)
class Weather:
    day: date
    temperature_c: float
    rain_mm: float


@dataclass(frozen=True)
class Trip:
    trip_id: str
    bike_id: int
    from_station: int
    to_station: int
    started_at: datetime
    minutes: float
    is_member: bool


def stations() -> list[Station]:
    dice = random.Random("stations")
    return [
        Station(
            station_id=10 * number + place,
            name=f"{district} {place + 1}",
            district=district,
            docks=dice.randrange(10, 40, 2),
        )
        for number, district in enumerate(DISTRICTS, 1)
        for place in range(STATIONS_PER_DISTRICT)
    ]


def weather(day: date) -> Weather:
    dice = random.Random(f"weather {day}")
    season = 12 - abs(day.timetuple().tm_yday - 196) / 15
    return Weather(
        day=day,
        temperature_c=round(season + dice.gauss(6, 4), 1),
        rain_mm=round(max(0.0, dice.gauss(0, 4)), 1),
    )


def trips(day: date, *, riders: int | None = None) -> list[Trip]:
    """A day's trips as the bikes report them; about one in fifty is nonsense."""
    dice = random.Random(f"trips {day}")
    conditions = weather(day)
    usual = max(40, int(300 + 12 * conditions.temperature_c - 15 * conditions.rain_mm))
    places = [station.station_id for station in stations()]
    return [_trip(day, number=number, places=places, dice=dice) for number in range(riders or usual)]


def _trip(day: date, *, number: int, places: list[int], dice: random.Random) -> Trip:
    is_nonsense = dice.random() < 0.02
    start = datetime.combine(day, time(5)) + timedelta(minutes=dice.triangular(0, 1080, 780))
    return Trip(
        trip_id=f"{day}-{number:04}",
        bike_id=dice.randrange(1, 180),
        from_station=dice.choice(places),
        to_station=dice.choice(places),
        started_at=start,
        minutes=-1.0 if is_nonsense else round(dice.lognormvariate(2.5, 0.6), 1),
        is_member=dice.random() < 0.7,
    )
