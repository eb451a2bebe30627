"""Ops that end badly, each in its own way."""

import os
import signal
import sys
import threading
import time

import dagster as dg


@dg.op
def give() -> int:
    return 1


@dg.op
def behind(number: int) -> int:
    return number


JOBS = []


def failing(fn):
    """Make a job of an op that runs this function, between two harmless ones."""

    @dg.op(name=f"{fn.__name__}_op")
    def _op(number: int) -> int:
        fn()
        return number

    @dg.job(name=fn.__name__)
    def _job():
        behind(_op(give()))

    JOBS.append(_job)
    return _job


@failing
def plain():
    raise ValueError("no good")


@failing
def wordless():
    raise ValueError


@failing
def with_cause():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


@failing
def with_context():
    try:
        raise KeyError("inner")
    except KeyError:
        raise ValueError("outer")  # noqa: B904


@failing
def context_suppressed():
    try:
        raise KeyError("inner")
    except KeyError:
        raise ValueError("outer") from None


@failing
def long_chain():
    error = ValueError("innermost")
    for number in range(10):
        outer = RuntimeError(f"level {number}")
        outer.__cause__ = error
        error = outer
    raise error


@failing
def group():
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


@failing
def local_class():
    class OwnError(Exception):
        def __init__(self, code):
            super().__init__(f"code {code}")

    raise OwnError(7)


@failing
def unpicklable():
    raise ValueError("holds a lock", threading.Lock, (lambda: None).__name__)


class _TextlessError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@failing
def textless():
    raise _TextlessError


@failing
def many_lines():
    raise ValueError("first: line\nsecond: line\n\nfourth\n")


@failing
def long_text():
    raise ValueError("x" * 200_000)


@failing
def unicode_text():
    raise ValueError("größer, 大きい, больше, 🚲")


@failing
def surrogates():
    raise ValueError("bad \udcff byte")


@failing
def null_bytes():
    raise ValueError("a\x00b")


@failing
def with_notes():
    error = ValueError("noted")
    error.add_note("first note")
    error.add_note("second note")
    raise error


@failing
def failure():
    raise dg.Failure(
        "too few rows",
        metadata={
            "rows": 3,
            "share": 0.5,
            "where": dg.MetadataValue.url("https://example.com"),
            "why": dg.MetadataValue.md("*because*"),
            "raw": {"a": [1, None]},
        },
    )


@failing
def failure_with_cause():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise dg.Failure("too few rows") from error


@failing
def assertion():
    assert 1 == 2, "arithmetic"  # noqa: PLR0133


@failing
def memory():
    raise MemoryError("none left")


@failing
def recursion():
    def again(depth):
        return again(depth + 1) + 1

    again(0)


@failing
def stop_iteration():
    raise StopIteration("early")


class _BaseError(BaseException):
    pass


@failing
def base_exception():
    raise _BaseError("beside")


@failing
def keyboard_interrupt():
    raise KeyboardInterrupt


@failing
def sys_exit():
    sys.exit(3)


@failing
def sys_exit_text():
    sys.exit("nothing to do")


@failing
def hard_exit():
    os._exit(3)


@failing
def hard_exit_zero():
    os._exit(0)


@failing
def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@failing
def aborted():
    os.abort()


@failing
def terminated():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


@failing
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


@failing
def thread_exit():
    thread = threading.Thread(target=os._exit, args=(5,))
    thread.start()
    thread.join()


@failing
def thread_exception():
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()


@dg.op
def fails_too(number: int) -> int:
    raise KeyError("the other")


@dg.op
def fails() -> int:
    raise ValueError("the one")


@dg.job
def two_failures():
    behind(fails())
    fails_too(give())


defs = dg.Definitions(jobs=[*JOBS, two_failures], executor=dg.in_process_executor)
