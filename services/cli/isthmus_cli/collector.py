"""The garbage collector while a command's modules are imported: what they make lives to the end, and is not looked through."""

import gc


def rest_collector() -> None:
    """Let the collector rest until `wake_collector`: looking through what imports make takes a fifth of their time."""
    gc.disable()


def wake_collector() -> None:
    """Let it work on what is made from now on; what there is already it leaves alone, at the process's end as well."""
    gc.freeze()
    gc.enable()
