"""The code server as a whole: its parts, how they are put together, and the order in which they stop."""

import asyncio
import signal
import uuid
from contextlib import AsyncExitStack

from isthmus.v1.telemetry_pb2 import Source
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle import log

from isthmus_code_server.config import Settings
from isthmus_code_server.errors import ZygoteLostError
from isthmus_code_server.kernel.family import adopt_orphans
from isthmus_code_server.runs.heartbeat import Heartbeat
from isthmus_code_server.runs.instance_gate import InstanceGate
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.runs.zygote_link import ZygoteLink
from isthmus_code_server.runs.zygote_process import ZygoteProcess
from isthmus_code_server.service.own_output import OwnOutput
from isthmus_code_server.service.server import Health, listening
from isthmus_code_server.service.servicer import Servicer

_log = log.get_logger(__name__)

#: How long the last events may take to reach the broker when the server stops, seconds; the rest waits on disk.
FLUSH_TIMEOUT_S = 5.0


def serve(settings: Settings, zygote: ZygoteProcess) -> int:
    """Serve in this process until told to stop; returns its exit code.

    Args:
        settings: What the server is told at its start.
        zygote: One that was started, and told what to import.
    """
    log.to_stderr()

    async def run() -> int:
        return await CodeServer(settings, zygote).run()

    return asyncio.run(run())


class CodeServer:
    """One code server, from its start to SIGTERM, SIGINT, the loss of its zygote, or the end of the one run that it takes.

    It stops in this order: health says NOT_SERVING and no run is taken any more; runs are canceled, each with its grace;
    their events are flushed to a deadline; gRPC ends; the zygote goes; the broker's connection closes. A second signal
    ends the process at once.
    """

    def __init__(self, settings: Settings, zygote: ZygoteProcess) -> None:
        """Serve by `settings`, with a zygote that was started for them already."""
        self._settings = settings
        self._zygote = zygote
        self._stop = asyncio.Event()
        self._health = Health()

    async def run(self) -> int:
        """Serve until told to stop; returns the process's exit code, not 0 when the zygote was lost."""
        self._settings.runs_dir.mkdir(parents=True, exist_ok=True)
        gate = InstanceGate(address=self._zygote.instance_address)
        ends_orphans = not self._settings.leaves_children
        if ends_orphans:
            adopt_orphans()
        zygote = ZygoteLink(self._zygote, ends_orphans=ends_orphans)
        async with AsyncExitStack() as stack:
            publisher = await stack.enter_async_context(Publisher(self._broker_settings()))
            telemetry = TelemetryPublisher(publisher, source=self._source())
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            zygote_task = tasks.create_task(self._keep_zygote(zygote), name="zygote")
            supervisor = Supervisor(
                runs_dir=self._settings.runs_dir,
                zygote=zygote,
                telemetry=telemetry,
                tasks=tasks,
                cancel_grace_s=self._settings.cancel_grace_s,
                takes_one_run=self._settings.takes_one_run,
            )
            await stack.enter_async_context(gate.listening())
            await self._serve(supervisor, gate, tasks)
            is_lost = zygote.phase == "stopped"
            zygote.close()
            await zygote_task
        return 1 if is_lost else 0

    async def _serve(self, supervisor: Supervisor, gate: InstanceGate, tasks: asyncio.TaskGroup) -> None:
        servicer = Servicer(supervisor=supervisor, gate=gate, location=self._settings.location)
        heartbeat = Heartbeat(
            supervisor=supervisor, telemetry=supervisor.telemetry, interval_s=self._settings.heartbeat_interval_s
        )
        self._install_signals()
        async with listening(servicer, address=self._settings.listen, health_service=self._health):
            beats = tasks.create_task(heartbeat.run(), name="heartbeat")
            bounding = tasks.create_task(OwnOutput().run(), name="own output")
            loaded = tasks.create_task(self._announce(supervisor.zygote), name="announce")
            spent = tasks.create_task(self._end_when_spent(supervisor), name="one run")
            _log.info("code_server_listening", location=self._settings.location, server=self._settings.server)
            await self._stop.wait()
            _log.info("code_server_stopping", active_runs=len(supervisor.live))
            loaded.cancel()
            spent.cancel()
            await self._health.set_serving(is_serving=False)
            await supervisor.stop(flush_timeout_s=FLUSH_TIMEOUT_S)
            beats.cancel()
            bounding.cancel()
            gate.close()

    async def _announce(self, zygote: ZygoteLink) -> None:
        """Say that requests are welcome once the definitions are loaded; after a failure Describe tells of it."""
        try:
            described = await zygote.described()
        except ZygoteLostError:
            return
        if described.HasField("failure"):
            _log.error("definitions_failed_to_load", error_class=described.failure.error_class)
            return
        _log.info("definitions_loaded", framework=described.framework)
        await self._health.set_serving(is_serving=True)

    async def _end_when_spent(self, supervisor: Supervisor) -> None:
        """Stop once the one run that this server takes is over, and all that it had to say is confirmed."""
        await supervisor.spent.wait()
        _log.info("code_server_spent", server=self._settings.server)
        self._stop.set()

    async def _keep_zygote(self, zygote: ZygoteLink) -> None:
        """Run the zygote; without one there is nothing to serve, unless it went because the project cannot be loaded."""
        await zygote.run()
        if zygote.phase != "failed" and not self._stop.is_set():
            _log.error("zygote_lost", pid=zygote.pid)
            self._stop.set()

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number)

    def _told_to_stop(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            # The kernel kills the zygote and the runs with us.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stop.set()

    def _broker_settings(self) -> BrokerSettings:
        name = f"code server {self._settings.location} {self._settings.server}"
        return BrokerSettings(url=self._settings.broker_url, connection_name=name)

    def _source(self) -> Source:
        return Source(
            deployment=self._settings.deployment,
            agent=self._settings.agent,
            location=self._settings.location,
            generation=self._settings.generation,
            incarnation=uuid.uuid4().hex,
        )
