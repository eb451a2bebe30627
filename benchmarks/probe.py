"""Starts a service of the system with notes taken where a run passes: `python -m benchmarks.probe SERVICE`.

The notes go to the file that BENCH_PROBE names, a line each: run id, station, seconds since 1970. Only the breakdown uses
this; the figures are measured without it.
"""

import functools
import importlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

FD = os.open(os.environ.get("BENCH_PROBE", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

Call = Callable[..., Awaitable[Any]]


def note(run_ids: Iterable[str], station: str) -> None:
    now = time.time()
    for run_id in run_ids:
        if run_id:
            os.write(FD, f"{run_id}\t{station}\t{now!r}\n".encode())


def control_plane() -> None:
    from isthmus_broker.instructions import InstructionPublisher
    from isthmus_control_plane.commands.outbox import OutboxDispatcher
    from isthmus_control_plane.desk.runs import RunDesk

    launch, offer, publish = RunDesk.launch, OutboxDispatcher.offer, InstructionPublisher.publish

    @functools.wraps(launch)
    async def noted_launch(self: RunDesk, request: Any) -> Any:
        note([request.run_id], "call arrived")
        return await launch(self, request)

    @functools.wraps(offer)
    def noted_offer(self: OutboxDispatcher, *commands: Any) -> None:
        note([command.run_id for command in commands], "committed")
        offer(self, *commands)

    @functools.wraps(publish)
    async def noted_publish(self: InstructionPublisher, instruction: Any, **options: Any) -> None:
        await publish(self, instruction, **options)
        note([instruction.launch_run.request.run.run_id], "confirmed by the broker")

    _replace(RunDesk, launch=noted_launch)
    _replace(OutboxDispatcher, offer=noted_offer)
    _replace(InstructionPublisher, publish=noted_publish)


def agent() -> None:
    from isthmus_agent.code_server.client import CodeServerClient
    from isthmus_agent.instructions.dispatch import InstructionDispatcher

    handle, start_run = InstructionDispatcher.handle, CodeServerClient.start_run

    @functools.wraps(handle)
    async def noted_handle(self: InstructionDispatcher, message: Any) -> Any:
        note([message.launch_run.request.run.run_id], "consumed by the agent")
        return await handle(self, message)

    @functools.wraps(start_run)
    async def noted_start(self: CodeServerClient, request: Any, **options: Any) -> Any:
        note([request.run.run_id], "StartRun sent")
        response = await start_run(self, request, **options)
        note([request.run.run_id], "StartRun answered")
        return response

    _replace(InstructionDispatcher, handle=noted_handle)
    _replace(CodeServerClient, start_run=noted_start)


def monitor() -> None:
    from isthmus_broker.notices import NoticePublisher

    publish = NoticePublisher.publish

    @functools.wraps(publish)
    async def noted_publish(self: NoticePublisher, notice: Any) -> None:
        note(notice.runs, "terminal event stored")
        await publish(self, notice)

    _replace(NoticePublisher, publish=noted_publish)


def _replace(kind: type, **calls: Callable[..., Any]) -> None:
    for name, call in calls.items():
        setattr(kind, name, call)


def main() -> None:
    service = sys.argv[1]
    {"control_plane": control_plane, "agent": agent, "monitor": monitor}[service]()
    importlib.import_module(f"isthmus_{service}.main").main()


if __name__ == "__main__":
    main()
