"""The time as events carry it."""

import time

from google.protobuf.timestamp_pb2 import Timestamp


def now(*, plus_s: float = 0.0) -> Timestamp:
    """Return the time as events carry it, or that of so many seconds later."""
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns() + int(plus_s * 1e9))
    return stamp
