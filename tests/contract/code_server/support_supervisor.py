"""A supervisor with a zygote of its own, and what is asked of both. There is no broker: what runs say is in the journals."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.telemetry_pb2 import Event, Source
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.runs.zygote_link import ZygoteLink
from isthmus_code_server.runs.zygote_process import ZygoteProcess
from isthmus_code_server.zygote.wire import LoadOrder, StartMethod
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader
from support.eventually import eventually
from support_code_server import PROJECTS, bodies, run_request

#: Nobody listens here.
_NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"


def started(order: LoadOrder) -> ZygoteProcess:
    zygote = ZygoteProcess.start()
    zygote.load(order)
    return zygote


@asynccontextmanager
async def supervising(
    tmp_path: Path,
    *,
    module: str = "jobs",
    python_file: Path | None = None,
    spares: int = 0,
    start: StartMethod = StartMethod.AUTO,
    is_for_one_run: bool = False,
    leaves_children: bool = False,
    still_after_s: float = 30.0,
) -> AsyncIterator[Supervisor]:
    source = DefinitionsSource(module=module, working_directory=str(PROJECTS))
    if python_file is not None:
        source = DefinitionsSource(python_file=str(python_file))
    order = LoadOrder(
        source=source,
        home=str(tmp_path / "home"),
        spares=spares,
        start=start,
        is_for_one_run=is_for_one_run,
        leaves_children=leaves_children,
    )
    zygote = ZygoteLink(started(order))
    async with Publisher(BrokerSettings(url=_NO_BROKER)) as publisher, asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(
            runs_dir=tmp_path / "home" / "runs",
            zygote=zygote,
            telemetry=TelemetryPublisher(publisher, source=Source(deployment="d", agent="a")),
            tasks=tasks,
            cancel_grace_s=2.0,
            still_after_s=still_after_s,
        )
        zygote_task = tasks.create_task(zygote.run())
        await zygote.described()
        try:
            yield supervisor
        finally:
            await supervisor.stop(flush_timeout_s=0)
            zygote.close()
            await zygote_task


def folder_of(supervisor: Supervisor, run_id: str, attempt: int = 1) -> AttemptFolder:
    return AttemptFolder.for_run(supervisor.runs_dir, telemetry.RunRef(run_id=run_id, attempt=attempt))


def journal(supervisor: Supervisor, run_id: str) -> list[Event]:
    return list(JournalReader(folder_of(supervisor, run_id).journal).read().events)


async def ended(supervisor: Supervisor, run_id: str, within: float = 10.0) -> list[Event]:
    def check() -> list[Event] | None:
        events = journal(supervisor, run_id)
        is_over = events and bodies(events)[-1] in ("run_succeeded", "run_failed", "run_canceled")
        return events if is_over and not supervisor.is_live(folder_of(supervisor, run_id)) else None

    return await eventually(check, within=within)


async def start_sleeping(supervisor: Supervisor, run_id: str, tmp_path: Path) -> int:
    ready = tmp_path / f"{run_id}.ready"
    config = {"ops": {"sleeps": {"config": {"ready": str(ready), "seconds": 60.0}}}}
    answer = await supervisor.start(run_request("sleeping", config=config, run_id=run_id))
    await eventually(ready.exists, within=10)
    return answer.accepted.pid


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that nobody has reaped yet has ended all the same.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
