"""The time as events carry it."""

import time

from google.protobuf.timestamp_pb2 import Timestamp


def now() -> Timestamp:
    """Return the time as events carry it."""
    stamp = Timestamp()
    stamp.FromNanoseconds(time.time_ns())
    return stamp
