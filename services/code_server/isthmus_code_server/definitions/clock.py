"""The time as events carry it."""

import time

from google.protobuf.timestamp_pb2 import Timestamp

_NANOSECONDS = 1_000_000_000


def timestamp(seconds: float) -> Timestamp:
    """Write seconds since the epoch."""
    nanoseconds = round(seconds * _NANOSECONDS)
    return Timestamp(seconds=nanoseconds // _NANOSECONDS, nanos=nanoseconds % _NANOSECONDS)


def now() -> Timestamp:
    """Write the present time."""
    return timestamp(time.time())
