"""The garbage collector while Dagster is imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let the collector rest: what imports make lives for ever, and looking through it takes a fifth of their time.

    What is alive at the end is frozen: it is not looked through later, when the project is imported, either. For that the
    collector works as ever, so that a project may switch and tune it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
