"""`isthmus top`: a deployment at a terminal, live."""

import sys

from isthmus_cli.command import built
from isthmus_cli.options import ServerOptions
from isthmus_cli.session import connected, run_to_end


def _top(options: ServerOptions) -> None:
    """Show runs, queue and agents, live.

    Enter opens a run with its steps, events and output; t terminates it, e executes it again, f what of it failed.
    """
    run_to_end(_show(options))


async def _show(options: ServerOptions) -> int:
    from importlib.util import find_spec

    from isthmus_cli.errors import InputError

    if find_spec("textual") is None:
        raise InputError("isthmus top is not installed here.", remedy="Install it: pip install 'isthmus-cli[top]'")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("isthmus top needs a terminal.", remedy="Elsewhere: isthmus run list, isthmus queue")
    from isthmus_cli.top.app import TopApp

    async with connected(options) as client:
        await TopApp(client).run_async()
    return 0


top = built("top", _top, options=ServerOptions)
