"""The same client for code without an event loop: scripts, notebooks, threads.

with BlockingClient("127.0.0.1:7070") as client:
    run = client.launch_run(LaunchRunRequest(location="etl", job_name="nightly"))
    for update in client.watch_run(run.request.run.run_id):
        ...
"""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Self

from isthmus.v1.control_plane_pb2 import (
    AUTOMATION_KIND_SCHEDULE,
    Agent,
    Automation,
    AutomationKind,
    AutomationRef,
    CodeVersion,
    LaunchRunRequest,
    ListGenerationsPage,
    ListRunsPage,
    ListRunsQuery,
    ListTicksPage,
    Location,
    LocationSettings,
    PausedThing,
    PauseKind,
    Queue,
    QueueSettings,
    QueueSettingsRevision,
    ReexecuteRunRequest,
    Run,
    RunExplanation,
    RunUpdate,
    TestedTick,
    TickStatus,
    ValidateLaunchResponse,
)

from isthmus_client.blocking_alerts import BlockingAlertCalls
from isthmus_client.blocking_backfills import BlockingBackfillCalls
from isthmus_client.blocking_branches import BlockingBranchCalls
from isthmus_client.blocking_catalog import BlockingCatalogCalls
from isthmus_client.client import ControlPlaneClient

if TYPE_CHECKING:
    from isthmus.v1.telemetry_pb2 import LogChunk, LogStream


class BlockingClient(BlockingAlertCalls, BlockingBackfillCalls, BlockingBranchCalls, BlockingCatalogCalls):
    """`ControlPlaneClient` with methods that return when they are done, and with plain iterators.

    Enter it to connect; leaving it closes the connection. It may be used by several threads, and also within a running
    event loop, as in a notebook: the connection is looked after in a thread of its own. Errors are those of the
    asynchronous client. An iterator that is not read to its end is closed with `close()`, or when it is collected.
    """

    def __init__(
        self, address: str, *, deployment: str = "default", connect_timeout_s: float = 5.0, token: str | None = None
    ) -> None:
        self._address = address
        self._token = token
        self._deployment = deployment
        self._connect_timeout_s = connect_timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connected: ControlPlaneClient | None = None

    def __repr__(self) -> str:
        return f"<BlockingClient {self._address} deployment={self._deployment}>"

    @property
    def address(self) -> str:
        """Where the control plane listens."""
        return self._address

    def __enter__(self) -> Self:
        """Connect; raises UnavailableError when nobody answers within `connect_timeout_s`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="isthmus-client", daemon=True)
        self._thread.start()
        try:
            self._connected = self._wait(self._connect())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._wait(self._client.__aexit__(*exc_info))
        finally:
            self._end()

    # ---------------------------------------------------------------------------------------------------------- agents

    def create_agent(
        self, name: str, *, pool: str = "", broker_user: str = "", code_server_broker_user: str = ""
    ) -> Agent:
        """Make an agent's place at the broker; an agent that exists is returned as it is."""
        return self._wait(
            self._client.create_agent(
                name, pool=pool, broker_user=broker_user, code_server_broker_user=code_server_broker_user
            )
        )

    def list_agents(self) -> Sequence[Agent]:
        """Tell all agents of the deployment."""
        return self._wait(self._client.list_agents())

    def get_agent(self, name: str) -> Agent:
        """Tell one agent."""
        return self._wait(self._client.get_agent(name))

    def drain_agent(self, name: str) -> Agent:
        """Give the agent no new runs until it is restarted; its runs go on."""
        return self._wait(self._client.drain_agent(name))

    def remove_agent(self, name: str) -> None:
        """Take the agent's place at the broker away; ConflictError while runs live on it."""
        self._wait(self._client.remove_agent(name))

    # ------------------------------------------------------------------------------------------------------- locations

    def apply_location(
        self,
        settings: LocationSettings,
        *,
        reload: bool = False,
        requested_by: str = "",
        code_version: CodeVersion | None = None,
    ) -> Location:
        """Add or change a location; `reload`, or another `code_version`, makes a new generation even of equal settings."""
        return self._wait(
            self._client.apply_location(settings, reload=reload, requested_by=requested_by, code_version=code_version)
        )

    def validate_location(self, settings: LocationSettings, *, code_version: CodeVersion | None = None) -> None:
        """Find out whether a location could be applied, and change nothing; InvalidRequestError names what is wrong."""
        self._wait(self._client.validate_location(settings, code_version=code_version))

    def list_generations(self, name: str, *, page_size: int = 0, before_generation: int = 0) -> ListGenerationsPage:
        """Tell one page of what a location was to be, newest first."""
        return self._wait(self._client.list_generations(name, page_size=page_size, before_generation=before_generation))

    def roll_back_location(self, name: str, *, generation: int = 0, requested_by: str = "") -> Location:
        """Make the settings of an earlier generation the wanted ones; without one, of the last that had others."""
        return self._wait(self._client.roll_back_location(name, generation=generation, requested_by=requested_by))

    def list_locations(self) -> Sequence[Location]:
        """Tell all locations of the deployment."""
        return self._wait(self._client.list_locations())

    def get_location(self, name: str) -> Location:
        """Tell one location, with what it defines."""
        return self._wait(self._client.get_location(name))

    def with_snapshot(self, location: Location) -> Location:
        """Return a location with what it defines, which is asked for where it was too large to come along."""
        return self._wait(self._client.with_snapshot(location))

    def watch_location(self, name: str) -> Iterator[Location]:
        """Tell the location now and after each change, until it is removed; reconnects by itself."""
        return self._pulled(self._client.watch_location(name))

    def remove_location(self, name: str) -> None:
        """Take the location off its agents; what runs goes on."""
        self._wait(self._client.remove_location(name))

    # ------------------------------------------------------------------------------------------------------------ runs

    def launch_run(self, request: LaunchRunRequest) -> Run:
        """Ask for a run and return once it is stored; a request without `run_id` is given one, so it may be repeated."""
        return self._wait(self._client.launch_run(request))

    def validate_run(self, request: LaunchRunRequest) -> ValidateLaunchResponse:
        """Ask the location's definitions whether a launch would be accepted; nothing is started."""
        return self._wait(self._client.validate_run(request))

    def get_run(self, run_id: str) -> Run:
        """Tell one run."""
        return self._wait(self._client.get_run(run_id))

    def find_run(self, name: str) -> Run:
        """Tell the run that a person's name for it means: its id or the beginning of it, `latest`, `-1`, `-2` and so on."""
        return self._wait(self._client.find_run(name))

    def list_runs(self, query: ListRunsQuery) -> ListRunsPage:
        """Tell a page of runs, newest first."""
        return self._wait(self._client.list_runs(query))

    def watch_runs(self, query: ListRunsQuery) -> Iterator[ListRunsPage]:
        """Tell a page of runs, newest first, now and after each change of what it shows; reconnects by itself."""
        return self._pulled(self._client.watch_runs(query))

    def watch_run(self, run_id: str, *, after_position: int = 0) -> Iterator[RunUpdate]:
        """Tell a run's history after a position, then live, until the run has ended; goes on where a connection broke."""
        return self._pulled(self._client.watch_run(run_id, after_position=after_position))

    def terminate_run(self, run_id: str, *, grace_s: float = 0.0, requested_by: str = "") -> Run:
        """Ask for a run's end; `grace_s` is how long it may clean up (0: the agent's default)."""
        return self._wait(self._client.terminate_run(run_id, grace_s=grace_s, requested_by=requested_by))

    def delete_run(self, run_id: str, *, requested_by: str = "") -> None:
        """Delete a run that has ended, with its history; ConflictError while it has not."""
        self._wait(self._client.delete_run(run_id, requested_by=requested_by))

    def reexecute_run(self, request: ReexecuteRunRequest) -> Run:
        """Launch a run that does again what an ended run did, or a part of it; return once it is stored."""
        return self._wait(self._client.reexecute_run(request))

    # ------------------------------------------------------------------------------------------------------ automation

    def list_automations(
        self, *, location: str = "", kind: "AutomationKind.ValueType" = AUTOMATION_KIND_SCHEDULE
    ) -> Sequence[Automation]:
        """Tell the schedules or sensors of the deployment, with their newest ticks."""
        return self._wait(self._client.list_automations(location=location, kind=kind))

    def get_automation(self, automation: AutomationRef) -> Automation:
        """Tell one schedule or sensor."""
        return self._wait(self._client.get_automation(automation))

    def start_automation(self, automation: AutomationRef, *, requested_by: str = "") -> Automation:
        """Let it run from now on, whatever the code's default is."""
        return self._wait(self._client.start_automation(automation, requested_by=requested_by))

    def stop_automation(self, automation: AutomationRef, *, requested_by: str = "") -> Automation:
        """Let it rest until it is started, whatever the code's default is."""
        return self._wait(self._client.stop_automation(automation, requested_by=requested_by))

    def list_ticks(
        self,
        automation: AutomationRef,
        *,
        statuses: Iterable["TickStatus.ValueType"] = (),
        page_size: int = 0,
        before: datetime | None = None,
    ) -> ListTicksPage:
        """Tell its ticks, newest first: those for times before one, and in one of the statuses."""
        return self._wait(self._client.list_ticks(automation, statuses=statuses, page_size=page_size, before=before))

    def preview_ticks(
        self, automation: AutomationRef, *, count: int = 0, after: datetime | None = None
    ) -> list[datetime]:
        """Tell when a schedule is due next, whether it runs or not."""
        return self._wait(self._client.preview_ticks(automation, count=count, after=after))

    def set_cursor(self, automation: AutomationRef, cursor: str, *, requested_by: str = "") -> Automation:
        """Put a sensor's cursor somewhere else; an empty one makes it begin anew."""
        return self._wait(self._client.set_cursor(automation, cursor, requested_by=requested_by))

    def test_tick(
        self, automation: AutomationRef, *, at: datetime | None = None, cursor: str | None = None
    ) -> TestedTick:
        """Evaluate it, a schedule for a time and a sensor with a cursor, and tell what would come of it.

        Nothing is written and nothing started.
        """
        return self._wait(self._client.test_tick(automation, at=at, cursor=cursor))

    # ---------------------------------------------------------------------------------------------------------- output

    def stream_logs(
        self,
        run_id: str,
        *,
        streams: Sequence["LogStream.ValueType"],
        follow: bool = False,
        step_key: str = "",
        value: str = "",
    ) -> "Iterator[LogChunk]":
        """Tell a run's output, or one step's, from its beginning; with `follow`, until it has ended.

        With `value`, one value that was cut out of an event, by its SHA-256, in place of output.
        """
        chunks = self._client.stream_logs(run_id, streams=streams, follow=follow, step_key=step_key, value=value)
        return self._pulled(chunks)

    def explain_run(self, run_id: str) -> RunExplanation:
        """Tell why a run waits, and where the time of one that has left the queue went."""
        return self._wait(self._client.explain_run(run_id))

    # ----------------------------------------------------------------------------------------------------------- queue

    def get_queue(self) -> Queue:
        """Tell how the deployment's queue stands: how many wait and for what, what is limited, what is paused."""
        return self._wait(self._client.get_queue())

    def set_queue_settings(self, settings: QueueSettings, *, requested_by: str = "") -> QueueSettingsRevision:
        """Replace the limits of the deployment's queue; they count at once, also for runs that wait."""
        return self._wait(self._client.set_queue_settings(settings, requested_by=requested_by))

    def pause(
        self, kind: "PauseKind.ValueType", name: str = "", *, why: str = "", requested_by: str = ""
    ) -> PausedThing:
        """Keep runs in the queue until `resume`; what is paused already stays as it is."""
        return self._wait(self._client.pause(kind, name, why=why, requested_by=requested_by))

    def resume(self, kind: "PauseKind.ValueType", name: str = "", *, requested_by: str = "") -> None:
        """Let runs leave the queue again; NotFoundError when it is not paused."""
        self._wait(self._client.resume(kind, name, requested_by=requested_by))

    # --------------------------------------------------------------------------------------------------------- private

    async def _connect(self) -> ControlPlaneClient:
        # Made here, because a channel belongs to the event loop that made it.
        client = ControlPlaneClient(
            self._address,
            deployment=self._deployment,
            connect_timeout_s=self._connect_timeout_s,
            token=self._token,
        )
        return await client.__aenter__()

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = self._connected = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
