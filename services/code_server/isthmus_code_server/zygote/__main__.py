"""Starts the zygote: `python -m isthmus_code_server.zygote CHANNEL_FD PARENT_PID`, by the code server only."""

import socket
import sys
from typing import NoReturn

from isthmus_code_server.kernel.process import Ending, die_with_parent, end
from isthmus_code_server.zygote.collector import collector_at_rest


def main(arguments: list[str]) -> NoReturn:
    """Serve the supervisor on the other end of the channel until it closes."""
    channel_fd, parent_pid = (int(argument) for argument in arguments)
    die_with_parent(parent_pid)
    with socket.socket(fileno=channel_fd) as channel:
        # A file descriptor passed by exec is inheritable: user code's own processes must not hold the channel open.
        channel.set_inheritable(False)
        # Imported only now: should the parent be gone, nothing is loaded in vain.
        with collector_at_rest():
            from isthmus_code_server.definitions.dagster.framework import import_framework
            from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
            from isthmus_code_server.zygote.server import Zygote

            # Whatever the project is: before the supervisor has even read where it lies.
            load = import_framework()
        exit_code = Zygote(channel, load=load, describe_failure=failure_from_exception).serve()
    end(Ending(exit_code=exit_code))


if __name__ == "__main__":
    main(sys.argv[1:])
