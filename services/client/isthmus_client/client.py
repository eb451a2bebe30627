"""The Python client for internal tooling: the control plane's API with deadlines and typed errors.

async with ControlPlaneClient("127.0.0.1:7070") as client:
    run = await client.launch_run(LaunchRunRequest(location="etl", job_name="nightly"))
    async for update in client.watch_run(run.request.run.run_id):
        ...
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Self, cast

import grpc
from isthmus.v1.control_plane_pb2 import (
    Agent,
    ApplyLocationRequest,
    CodeVersion,
    CreateAgentRequest,
    DeleteRunRequest,
    DrainAgentRequest,
    ExplainRunRequest,
    FindRunRequest,
    GetAgentRequest,
    GetLocationRequest,
    GetQueueRequest,
    GetRunRequest,
    GetSnapshotRequest,
    LaunchRunRequest,
    ListAgentsRequest,
    ListLocationsRequest,
    Location,
    LocationSettings,
    PausedThing,
    PauseKind,
    PauseRequest,
    Queue,
    QueueSettings,
    QueueSettingsRevision,
    ReexecuteRunRequest,
    RemoveAgentRequest,
    RemoveLocationRequest,
    ResumeRequest,
    Run,
    RunExplanation,
    RunUpdate,
    SetQueueSettingsRequest,
    StreamLogsRequest,
    TerminateRunRequest,
    ValidateLaunchResponse,
    WatchLocationRequest,
    WatchRunRequest,
)
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneStub
from isthmus.v1.instruction_pb2 import LogCursor

from isthmus_client.alerts import AlertCalls
from isthmus_client.automation import AutomationCalls
from isthmus_client.backfills import BackfillCalls
from isthmus_client.branches import BranchCalls
from isthmus_client.catalog import CatalogCalls
from isthmus_client.channel import channel_options
from isthmus_client.deploying import DeployingCalls
from isthmus_client.discovery import find_token
from isthmus_client.errors import UnavailableError
from isthmus_client.resume import is_ended, resumed
from isthmus_client.run_list import RunListCalls
from isthmus_client.status import Callee, translate
from isthmus_client.token import METADATA_KEY, checked

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamCall
    from isthmus.v1.control_plane_pb2_grpc import ControlPlaneAsyncStub
    from isthmus.v1.telemetry_pb2 import LogChunk, LogStream

#: Seconds for a call that asks the user's environment.
QUESTION_DEADLINE_S = 90.0
#: How long a large snapshot may take on its way, seconds.
_SNAPSHOT_DEADLINE_S = 300.0


class ControlPlaneClient(
    AutomationCalls, CatalogCalls, AlertCalls, BackfillCalls, BranchCalls, DeployingCalls, RunListCalls
):
    """A connection to one control plane, speaking for one deployment.

    Enter it to connect; leaving it closes the connection. Messages are those of `isthmus.v1`. Each method raises a
    subclass of `isthmus_client.errors.ClientError`. An empty `deployment` in a request is filled in. Without `token`, the
    one that `isthmus_client.discovery.find_token` finds for the address is sent.
    """

    def __init__(
        self, address: str, *, deployment: str = "default", connect_timeout_s: float = 5.0, token: str | None = None
    ) -> None:
        self._callee, self._metadata = _credentials(address, token=token)
        self._deployment = deployment
        self._connect_timeout_s = connect_timeout_s
        self._channel = grpc.aio.insecure_channel(address, options=channel_options(address))
        self._stub = cast("ControlPlaneAsyncStub", ControlPlaneStub(self._channel))

    def __repr__(self) -> str:
        return f"<ControlPlaneClient {self._callee.address} deployment={self._deployment}>"

    @property
    def address(self) -> str:
        """Where the control plane listens."""
        return self._callee.address

    async def __aenter__(self) -> Self:
        """Connect; raises UnavailableError when nobody answers within `connect_timeout_s`."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._channel.channel_ready()
        except TimeoutError as error:
            await self._channel.close()
            detail = f"no connection within {self._connect_timeout_s:g} s"
            raise UnavailableError.unreachable(self._callee.address, detail=detail) from error
        if not self._metadata:
            # Who was waited for announced its token when it began to listen.
            self._callee, self._metadata = _credentials(self._callee.address, token=None)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._channel.close()

    # ---------------------------------------------------------------------------------------------------------- agents

    async def create_agent(
        self, name: str, *, pool: str = "", broker_user: str = "", code_server_broker_user: str = ""
    ) -> Agent:
        """Make an agent's place at the broker; an agent that exists is returned as it is."""
        request = CreateAgentRequest(
            deployment=self._deployment,
            name=name,
            pool=pool,
            broker_user=broker_user,
            code_server_broker_user=code_server_broker_user,
        )
        return await self._call(self._stub.CreateAgent, request)

    async def list_agents(self) -> Sequence[Agent]:
        """Tell all agents of the deployment."""
        return (await self._call(self._stub.ListAgents, ListAgentsRequest(deployment=self._deployment))).agents

    async def get_agent(self, name: str) -> Agent:
        """Tell one agent."""
        return await self._call(self._stub.GetAgent, GetAgentRequest(deployment=self._deployment, name=name))

    async def drain_agent(self, name: str) -> Agent:
        """Give the agent no new runs until it is restarted; its runs go on."""
        return await self._call(self._stub.DrainAgent, DrainAgentRequest(deployment=self._deployment, name=name))

    async def remove_agent(self, name: str) -> None:
        """Take the agent's place at the broker away; ConflictError while runs live on it."""
        await self._call(self._stub.RemoveAgent, RemoveAgentRequest(deployment=self._deployment, name=name))

    # ------------------------------------------------------------------------------------------------------- locations

    async def apply_location(
        self,
        settings: LocationSettings,
        *,
        reload: bool = False,
        requested_by: str = "",
        code_version: CodeVersion | None = None,
    ) -> Location:
        """Add or change a location.

        Args:
            settings: What it is to be.
            reload: Make a new generation even of equal settings.
            requested_by: Who asks, for the history.
            code_version: Of which version the code is; another one than before is a new generation, too.
        """
        request = ApplyLocationRequest(
            deployment=self._deployment,
            settings=settings,
            reload=reload,
            requested_by=requested_by,
            code_version=code_version,
        )
        return await self._call(self._stub.ApplyLocation, request)

    async def list_locations(self) -> Sequence[Location]:
        """Tell all locations of the deployment."""
        request = ListLocationsRequest(deployment=self._deployment)
        return (await self._call(self._stub.ListLocations, request)).locations

    async def get_location(self, name: str) -> Location:
        """Tell one location, with what it defines."""
        request = GetLocationRequest(deployment=self._deployment, name=name)
        return await self.with_snapshot(await self._call(self._stub.GetLocation, request))

    async def with_snapshot(self, location: Location) -> Location:
        """Return a location with what it defines, which is asked for where it was too large to come along.

        Raises:
            NotFoundError: The location serves something else by now.
        """
        if location.HasField("snapshot") or not location.snapshot_bytes:
            return location
        request = GetSnapshotRequest(
            deployment=self._deployment, name=location.settings.name, snapshot_hash=location.snapshot_hash
        )
        try:
            call = self._stub.GetSnapshot(request, timeout=_SNAPSHOT_DEADLINE_S, metadata=self._metadata)
            body = b"".join([piece.data async for piece in call])
        except grpc.aio.AioRpcError as error:
            raise translate(error, method="GetSnapshot", callee=self._callee) from error
        location.snapshot.MergeFromString(body)
        return location

    async def watch_location(self, name: str) -> AsyncIterator[Location]:
        """Tell the location now and after each change, until it is removed; reconnects by itself.

        What it defines is told with it up to 2 MiB; `with_snapshot` adds what is larger.
        """
        request = WatchLocationRequest(deployment=self._deployment, name=name)
        async for location in resumed(
            lambda: self._stub.WatchLocation(request, metadata=self._metadata),
            is_last=lambda location: location.is_removed,
            method="WatchLocation",
            callee=self._callee,
        ):
            yield location

    async def remove_location(self, name: str) -> None:
        """Take the location off its agents; what runs goes on."""
        request = RemoveLocationRequest(deployment=self._deployment, name=name)
        await self._call(self._stub.RemoveLocation, request)

    # ------------------------------------------------------------------------------------------------------------ runs

    async def launch_run(self, request: LaunchRunRequest) -> Run:
        """Ask for a run and return once it is stored.

        A request without `run_id` is given one before the first try, so that a repeated call starts nothing twice.
        """
        message = self._meant(request)
        if not message.run_id:
            message.run_id = str(uuid.uuid4())
        return await self._call(self._stub.LaunchRun, message)

    async def validate_run(self, request: LaunchRunRequest) -> ValidateLaunchResponse:
        """Ask the location's definitions whether a launch would be accepted; nothing is started."""
        return await self._call(self._stub.ValidateRun, self._meant(request), deadline_s=QUESTION_DEADLINE_S)

    async def get_run(self, run_id: str) -> Run:
        """Tell one run."""
        return await self._call(self._stub.GetRun, GetRunRequest(deployment=self._deployment, run_id=run_id))

    async def find_run(self, name: str) -> Run:
        """Tell the run that a person's name for it means: its id or the beginning of it, `latest`, `-1`, `-2` and so on."""
        return await self._call(self._stub.FindRun, FindRunRequest(deployment=self._deployment, name=name))

    async def watch_run(self, run_id: str, *, after_position: int = 0) -> AsyncIterator[RunUpdate]:
        """Tell a run's history after a position, then live, until the run has ended and all was told.

        A broken stream is resumed after the last position that was yielded: nothing is told twice or left out.
        """
        request = WatchRunRequest(deployment=self._deployment, run_id=run_id, after_position=after_position)
        async for update in resumed(
            lambda: self._stub.WatchRun(request, metadata=self._metadata),
            is_last=lambda update: update.HasField("run") and is_ended(update.run),
            method="WatchRun",
            callee=self._callee,
        ):
            request.after_position = max(request.after_position, update.position)
            yield update

    async def terminate_run(self, run_id: str, *, grace_s: float = 0.0, requested_by: str = "") -> Run:
        """Ask for a run's end; `grace_s` is how long it may clean up (0: the agent's default)."""
        request = TerminateRunRequest(
            deployment=self._deployment,
            run_id=run_id,
            grace_s=grace_s,
            requested_by=requested_by,
        )
        return await self._call(self._stub.TerminateRun, request)

    async def delete_run(self, run_id: str, *, requested_by: str = "") -> None:
        """Delete a run that has ended, with its history; ConflictError while it has not."""
        request = DeleteRunRequest(deployment=self._deployment, run_id=run_id, requested_by=requested_by)
        await self._call(self._stub.DeleteRun, request)

    async def reexecute_run(self, request: ReexecuteRunRequest) -> Run:
        """Launch a run that does again what an ended run did, or a part of it; return once it is stored."""
        message = self._meant(request)
        message.run_id = message.run_id or str(uuid.uuid4())
        return await self._call(self._stub.ReexecuteRun, message)

    async def stream_logs(
        self,
        run_id: str,
        *,
        streams: Sequence["LogStream.ValueType"],
        follow: bool = False,
        step_key: str = "",
        value: str = "",
    ) -> AsyncIterator["LogChunk"]:
        """Tell a run's output, or one step's, from its beginning; with `follow`, until it has ended.

        A broken stream is resumed after the last bytes that were yielded of each file. What is missing comes as a chunk
        with `gap` set. With `value`, one value that was cut out of an event, by its SHA-256, in place of output.
        """
        cursors = {(stream, ""): LogCursor(stream=stream) for stream in streams}

        def open_stream() -> "UnaryStreamCall[StreamLogsRequest, LogChunk]":
            request = StreamLogsRequest(
                deployment=self._deployment,
                run_id=run_id,
                follow=follow,
                step_key=step_key,
                value_sha256=value,
                cursors=cursors.values(),
            )
            return self._stub.StreamLogs(request, metadata=self._metadata)

        async for chunk in resumed(
            open_stream,
            is_last=None,
            method="StreamLogs",
            callee=self._callee,
        ):
            cursor = cursors.setdefault(
                (chunk.stream, chunk.step_key), LogCursor(stream=chunk.stream, step_key=chunk.step_key)
            )
            cursor.offset = chunk.offset + len(chunk.data)
            yield chunk

    async def explain_run(self, run_id: str) -> RunExplanation:
        """Tell why a run waits, and where the time of one that has left the queue went."""
        return await self._call(self._stub.ExplainRun, ExplainRunRequest(deployment=self._deployment, run_id=run_id))

    # ----------------------------------------------------------------------------------------------------------- queue

    async def get_queue(self) -> Queue:
        """Tell how the deployment's queue stands: how many wait and for what, what is limited, what is paused."""
        return await self._call(self._stub.GetQueue, GetQueueRequest(deployment=self._deployment))

    async def set_queue_settings(self, settings: QueueSettings, *, requested_by: str = "") -> QueueSettingsRevision:
        """Replace the limits of the deployment's queue; they count at once, also for runs that wait."""
        request = SetQueueSettingsRequest(deployment=self._deployment, settings=settings, requested_by=requested_by)
        return await self._call(self._stub.SetQueueSettings, request)

    async def pause(
        self, kind: "PauseKind.ValueType", name: str = "", *, why: str = "", requested_by: str = ""
    ) -> PausedThing:
        """Keep runs in the queue until `resume`; what is paused already stays as it is."""
        request = PauseRequest(deployment=self._deployment, kind=kind, name=name, why=why, requested_by=requested_by)
        return await self._call(self._stub.Pause, request)

    async def resume(self, kind: "PauseKind.ValueType", name: str = "", *, requested_by: str = "") -> None:
        """Let runs leave the queue again; NotFoundError when it is not paused."""
        request = ResumeRequest(deployment=self._deployment, kind=kind, name=name, requested_by=requested_by)
        await self._call(self._stub.Resume, request)


def _credentials(address: str, *, token: str | None) -> tuple[Callee, tuple[tuple[str, str], ...]]:
    """Choose the token, and tell whom it is sent to; without one, the control plane will say what is missing."""
    if token is not None:
        value, source = checked(token, source="the caller"), "the caller"
    elif found := find_token(address):
        value, source = found.value, found.source
    else:
        return Callee(address), ()
    return Callee(address, token_source=source), ((METADATA_KEY, f"Bearer {value}"),)
