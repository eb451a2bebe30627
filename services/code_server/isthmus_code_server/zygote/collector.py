"""The garbage collector while a project is imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let the collector rest: what imports make lives for ever, and looking through it takes a fifth of their time.

    What is alive at the end is frozen, or all of it would be looked through then.

    Its threshold is used, and not its switch, so that a project which turns the collector off or tunes it has its way.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(0, *thresholds[1:])
    try:
        yield
    finally:
        gc.freeze()
        if gc.get_threshold()[0] == 0:
            gc.set_threshold(*thresholds)
