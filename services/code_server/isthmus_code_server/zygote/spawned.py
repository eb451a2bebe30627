"""A child that is an interpreter of its own: `python -m isthmus_code_server.zygote.spawned TASK FD PARENT_PID`.

TASK is "run", for a child of the zygote, which waits for a channel once it has imported the definitions, or "step",
for a step of a run, which has its orders from the run's process.
"""

import socket
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from isthmus_code_server.kernel.process import Ending, die_with_parent, end_in_time, exit_code_of
from isthmus_code_server.zygote.collector import collector_at_rest

if TYPE_CHECKING:
    from isthmus_code_server.definitions.port import LoadDefinitions


def main(arguments: list[str]) -> NoReturn:
    """Do the task, and end as a forked child would."""
    task, fd, parent_pid = arguments[0], int(arguments[1]), int(arguments[2])
    die_with_parent(parent_pid)
    ending = Ending(exit_code=1)
    try:
        with socket.socket(fileno=fd) as channel:
            # A file descriptor passed by exec is inheritable: the user's own processes must not hold it open.
            channel.set_inheritable(False)
            with collector_at_rest():
                from isthmus_code_server.definitions.dagster.framework import import_framework

                load = import_framework()
            ending = _step(channel, load) if task == "step" else _run(channel, load)
    except SystemExit as exit_request:
        ending = Ending(exit_code=exit_code_of(exit_request))
    except BaseException:  # noqa: BLE001  # the process ends here, and its stderr is where that can be told
        traceback.print_exc()
    end_in_time(ending)


def _run(starter: socket.socket, load: "LoadDefinitions") -> Ending:
    from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
    from isthmus_code_server.errors import DefinitionsLoadError
    from isthmus_code_server.kernel.family import adopt_orphans
    from isthmus_code_server.zygote.channel import receive_frame
    from isthmus_code_server.zygote.child import Child
    from isthmus_code_server.zygote.spare import wait_for_channel
    from isthmus_code_server.zygote.wire import LoadOrder

    received = receive_frame(starter)
    if received is None:
        return Ending()
    order = LoadOrder.decode(received[1])
    if not order.leaves_children:
        adopt_orphans()
    child = Child(failure_from_exception, spawn_order=order)
    try:
        definitions = load(order.source, Path(order.home))
    except DefinitionsLoadError as error:
        is_loaded, serve = False, partial(child.refuse, failure=error.failure)
    else:
        is_loaded, serve = True, partial(child.main, definitions=definitions)
    channel = wait_for_channel(starter, is_loaded=is_loaded)
    if channel is None:
        return Ending()
    with channel:
        return serve(channel)


def _step(channel: socket.socket, load: "LoadDefinitions") -> Ending:
    from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
    from isthmus_code_server.zygote.channel import receive_frame
    from isthmus_code_server.zygote.child import Child
    from isthmus_code_server.zygote.wire import LoadOrder, StepCall

    order, call = receive_frame(channel), receive_frame(channel)
    if order is None or call is None:
        return Ending()
    load_order = LoadOrder.decode(order[1])
    definitions = load(load_order.source, Path(load_order.home))
    Child(failure_from_exception, spawn_order=load_order).step(channel, definitions, call=StepCall.decode(call[1]))
    return Ending()


if __name__ == "__main__":
    main(sys.argv[1:])
