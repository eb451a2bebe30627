"""Ops end in the ways that bug reports tell of."""

import os
import signal
import sys
import threading
from typing import Any

import dagster as dg


class Client:
    """Cannot be pickled, and is not a value that travels."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return "<client>"


@dg.op
def exits() -> None:
    sys.exit(3)


@dg.op
def exits_well() -> None:
    sys.exit(0)


@dg.op
def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dg.op
def leaves() -> None:
    os._exit(4)


@dg.op
def returns_a_client() -> Any:
    return Client()


@dg.op
def takes(client: Any) -> None:
    del client


@dg.op
def interrupts() -> None:
    raise KeyboardInterrupt


@dg.op
def recurses() -> None:
    recurses_for_ever(0)


def recurses_for_ever(depth: int) -> int:
    return recurses_for_ever(depth + 1) + 1


@dg.op
def groups() -> None:
    raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])


class OddError(Exception):
    """Cannot even be written."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@dg.op
def raises_odd() -> None:
    raise OddError


@dg.job
def exiting() -> None:
    exits()


@dg.job
def exiting_well() -> None:
    exits_well()


@dg.job
def killed() -> None:
    is_killed()


@dg.job
def leaving() -> None:
    leaves()


@dg.job
def unpicklable() -> None:
    takes(returns_a_client())


@dg.job
def interrupting() -> None:
    interrupts()


@dg.job
def recursing() -> None:
    recurses()


@dg.job
def grouping() -> None:
    groups()


@dg.job
def odd() -> None:
    raises_odd()


defs = dg.Definitions(
    jobs=[exiting, exiting_well, killed, leaving, unpicklable, interrupting, recursing, grouping, odd]
)
