# ruff: noqa: N802 - the names of the methods are the contract's
"""A control plane at the contract's edge: a real gRPC server with prepared answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from isthmus.v1.control_plane_pb2 import (
    Agent,
    AgentState,
    AssetDetail,
    AssetEvaluation,
    AssetEventRef,
    AssetPartition,
    AssetWipe,
    Automation,
    BackfillDetail,
    BackfillPreview,
    BackfillRun,
    CatalogAsset,
    DeleteRunResponse,
    ListAgentsResponse,
    ListAssetEvaluationsPage,
    ListAssetPartitionsPage,
    ListAssetsPage,
    ListAssetWipesPage,
    ListAutomationsResponse,
    ListGenerationsPage,
    ListLocationsResponse,
    ListRunsPage,
    ListTicksPage,
    Location,
    LocationGeneration,
    PausedThing,
    PreviewTicksResponse,
    Queue,
    QueueSettingsRevision,
    RemoveAgentResponse,
    RemoveLocationResponse,
    ReportAssetEventResponse,
    ResumeResponse,
    Run,
    RunExplanation,
    RunState,
    RunUpdate,
    TestedTick,
    Tick,
    ValidateLaunchResponse,
    WatchedRuns,
)
from isthmus.v1.control_plane_pb2_grpc import add_ControlPlaneServicer_to_server
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import (
    JobSnapshot,
    LocationPhase,
    LocationReport,
    LocationSnapshot,
    LogChunk,
    RunRef,
    SnapshotPiece,
)

from support.canned_backfills import CannedBackfills
from support.no_alerts import NoAlerts
from support.no_branches import NoBranches

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Refusal:
    """A status with details, in place of an answer."""

    code: grpc.StatusCode
    text: str
    details: tuple[Message, ...] = ()

    async def send(self, context: Context) -> None:
        packed = []
        for detail in self.details:
            box = AnyMessage()
            box.Pack(detail)
            packed.append(box)
        status = Status(code=self.code.value[0], message=self.text, details=packed)
        await context.abort_with_status(rpc_status.to_status(status))


@dataclass
class CannedControlPlane(NoAlerts, NoBranches, CannedBackfills):
    """Answers from prepared state and keeps what it was asked."""

    locations: dict[str, Location] = field(default_factory=dict)
    generations: list[LocationGeneration] = field(default_factory=list)
    agents: dict[str, Agent] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    automations: dict[str, Automation] = field(default_factory=dict)
    assets: list[CatalogAsset] = field(default_factory=list)
    asset: AssetDetail = field(default_factory=AssetDetail)
    partitions: list[AssetPartition] = field(default_factory=list)
    evaluations: list[AssetEvaluation] = field(default_factory=list)
    wipes: list[AssetWipe] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    tested: TestedTick = field(default_factory=TestedTick)
    backfill: BackfillDetail = field(default_factory=BackfillDetail)
    backfill_runs: list[BackfillRun] = field(default_factory=list)
    backfill_preview: BackfillPreview = field(default_factory=BackfillPreview)
    queue: Queue = field(default_factory=Queue)
    explanation: RunExplanation = field(default_factory=RunExplanation)
    next_page_token: str = ""
    #: What each run's watchers are told, and after how many updates each successive stream breaks.
    updates: list[RunUpdate] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    #: What watchers of a list of runs are told; without it, all runs.
    pages: list[WatchedRuns] = field(default_factory=list)
    #: What watchers of a location are told.
    phases: list[Location] = field(default_factory=list)
    chunks: list[LogChunk] = field(default_factory=list)
    #: The bytes of a snapshot that is told in two pieces.
    large_snapshot: bytes = b""
    verdict: ValidateLaunchResponse = field(default_factory=ValidateLaunchResponse)
    refusal: Refusal | None = None
    asked: list[Message] = field(default_factory=list)
    #: What each call showed as its identity.
    shown: list[str] = field(default_factory=list)
    #: A watcher that has got everything is held here when set.
    hold: asyncio.Event | None = None

    async def _take(self, request: Message, context: Context) -> None:
        self.asked.append(request)
        shown = dict(context.invocation_metadata() or ()).get("authorization", "")
        self.shown.append(shown.decode() if isinstance(shown, bytes) else shown)
        if self.refusal:
            await self.refusal.send(context)

    async def LaunchRun(self, request: Any, context: Context) -> Run:
        await self._take(request, context)
        return self.runs.setdefault(request.run_id, a_run(request.run_id, job=request.job_name))

    async def ValidateRun(self, request: Any, context: Context) -> ValidateLaunchResponse:
        await self._take(request, context)
        return self.verdict

    async def GetRun(self, request: Any, context: Context) -> Run:
        await self._take(request, context)
        return self.runs[request.run_id]

    async def FindRun(self, request: Any, context: Context) -> Run:
        await self._take(request, context)
        return self.runs.get(request.name) or a_run(request.name)

    async def ListRuns(self, request: Any, context: Context) -> ListRunsPage:
        await self._take(request, context)
        return ListRunsPage(runs=self.runs.values(), next_page_token=self.next_page_token)

    async def WatchRuns(self, request: Any, context: Context) -> AsyncIterator[WatchedRuns]:
        await self._take(request, context)
        left = self.breaks.pop(0) if self.breaks else -1
        for page in self.pages or [WatchedRuns(run_ids=self.runs, changed=self.runs.values())]:
            if left == 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            left -= 1
            yield page
        # As the real one: until the caller hangs up.
        await asyncio.Event().wait()

    async def TerminateRun(self, request: Any, context: Context) -> Run:
        await self._take(request, context)
        return self.runs[request.run_id]

    async def DeleteRun(self, request: Any, context: Context) -> DeleteRunResponse:
        await self._take(request, context)
        del self.runs[request.run_id]
        return DeleteRunResponse()

    async def ExplainRun(self, request: Any, context: Context) -> RunExplanation:
        await self._take(request, context)
        return self.explanation

    async def GetQueue(self, request: Any, context: Context) -> Queue:
        await self._take(request, context)
        return self.queue

    async def SetQueueSettings(self, request: Any, context: Context) -> QueueSettingsRevision:
        await self._take(request, context)
        self.queue.settings.CopyFrom(
            QueueSettingsRevision(
                settings=request.settings, revision=self.queue.settings.revision + 1, changed_by=request.requested_by
            )
        )
        return self.queue.settings

    async def Pause(self, request: Any, context: Context) -> PausedThing:
        await self._take(request, context)
        return PausedThing(kind=request.kind, name=request.name, why=request.why, paused_by=request.requested_by)

    async def Resume(self, request: Any, context: Context) -> ResumeResponse:
        await self._take(request, context)
        return ResumeResponse()

    async def ReexecuteRun(self, request: Any, context: Context) -> Run:
        await self._take(request, context)
        return self.runs[request.parent_run_id]

    async def WatchRun(self, request: Any, context: Context) -> AsyncIterator[RunUpdate]:
        await self._take(request, context)
        left = self.breaks.pop(0) if self.breaks else -1
        for update in self.updates:
            if update.position <= request.after_position and update.position:
                continue
            if left == 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            left -= 1
            yield update
        if self.hold:
            await self.hold.wait()

    async def StreamLogs(self, request: Any, context: Context) -> AsyncIterator[LogChunk]:
        await self._take(request, context)
        left = self.breaks.pop(0) if self.breaks else -1
        offsets = {(cursor.stream, cursor.step_key): cursor.offset for cursor in request.cursors}
        streams = {cursor.stream for cursor in request.cursors}
        for chunk in self.chunks:
            if chunk.stream not in streams or chunk.offset < offsets.get((chunk.stream, chunk.step_key), 0):
                continue
            if left == 0:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            left -= 1
            yield chunk

    async def GetSnapshot(self, request: Any, context: Context) -> AsyncIterator[SnapshotPiece]:
        await self._take(request, context)
        halves = (
            self.large_snapshot[: len(self.large_snapshot) // 2],
            self.large_snapshot[len(self.large_snapshot) // 2 :],
        )
        for index, data in enumerate(halves):
            yield SnapshotPiece(snapshot_hash=request.snapshot_hash, index=index, count=2, data=data)

    async def ApplyLocation(self, request: Any, context: Context) -> Location:
        await self._take(request, context)
        return Location(settings=request.settings, generation=3, phase=LocationPhase.LOCATION_PHASE_PENDING)

    async def ListLocations(self, request: Any, context: Context) -> ListLocationsResponse:
        await self._take(request, context)
        return ListLocationsResponse(locations=self.locations.values())

    async def GetLocation(self, request: Any, context: Context) -> Location:
        await self._take(request, context)
        return self.locations[request.name]

    async def WatchLocation(self, request: Any, context: Context) -> AsyncIterator[Location]:
        await self._take(request, context)
        for location in self.phases:
            if location.settings.name in ("", request.name):
                yield location
        # As the real one: until the caller hangs up.
        await asyncio.Event().wait()

    async def ListGenerations(self, request: Any, context: Context) -> ListGenerationsPage:
        await self._take(request, context)
        return ListGenerationsPage(generations=self.generations)

    async def RollbackLocation(self, request: Any, context: Context) -> Location:
        await self._take(request, context)
        return self.locations[request.name]

    async def RemoveLocation(self, request: Any, context: Context) -> RemoveLocationResponse:
        await self._take(request, context)
        return RemoveLocationResponse()

    async def CreateAgent(self, request: Any, context: Context) -> Agent:
        await self._take(request, context)
        return Agent(name=request.name, deployment="default", state=AgentState.AGENT_STATE_NEW, queue="the.queue")

    async def ListAgents(self, request: Any, context: Context) -> ListAgentsResponse:
        await self._take(request, context)
        return ListAgentsResponse(agents=self.agents.values())

    async def GetAgent(self, request: Any, context: Context) -> Agent:
        await self._take(request, context)
        return self.agents[request.name]

    async def DrainAgent(self, request: Any, context: Context) -> Agent:
        await self._take(request, context)
        return self.agents[request.name]

    async def ListAutomations(self, request: Any, context: Context) -> ListAutomationsResponse:
        await self._take(request, context)
        return ListAutomationsResponse(automations=self.automations.values())

    async def GetAutomation(self, request: Any, context: Context) -> Automation:
        await self._take(request, context)
        return self.automations[request.name]

    async def StartAutomation(self, request: Any, context: Context) -> Automation:
        return await self._decide(request, context, is_running=True)

    async def StopAutomation(self, request: Any, context: Context) -> Automation:
        return await self._decide(request, context, is_running=False)

    async def _decide(self, request: Any, context: Context, *, is_running: bool) -> Automation:
        await self._take(request, context)
        found = self.automations[request.automation.name]
        found.is_running, found.is_decided, found.decided_by = is_running, True, request.requested_by
        return found

    async def SetCursor(self, request: Any, context: Context) -> Automation:
        await self._take(request, context)
        found = self.automations[request.automation.name]
        found.cursor = request.cursor
        return found

    async def ListAssets(self, request: Any, context: Context) -> ListAssetsPage:
        await self._take(request, context)
        shown = self.assets[: request.page_size]
        token = "more" if len(shown) < len(self.assets) else ""
        return ListAssetsPage(assets=shown, next_page_token=token, total=len(self.assets))

    async def GetAsset(self, request: Any, context: Context) -> AssetDetail:
        await self._take(request, context)
        return self.asset

    async def ListAssetPartitions(self, request: Any, context: Context) -> ListAssetPartitionsPage:
        await self._take(request, context)
        return ListAssetPartitionsPage(partitions=self.partitions)

    async def ListAssetEvaluations(self, request: Any, context: Context) -> ListAssetEvaluationsPage:
        await self._take(request, context)
        return ListAssetEvaluationsPage(evaluations=self.evaluations)

    async def ReportAssetEvent(self, request: Any, context: Context) -> ReportAssetEventResponse:
        await self._take(request, context)
        return ReportAssetEventResponse(event=AssetEventRef(event_id=7))

    async def WipeAsset(self, request: Any, context: Context) -> AssetWipe:
        await self._take(request, context)
        return AssetWipe(id=1, key=request.key, partitions=request.partitions, events=12)

    async def ListAssetWipes(self, request: Any, context: Context) -> ListAssetWipesPage:
        await self._take(request, context)
        return ListAssetWipesPage(wipes=self.wipes)

    async def ListTicks(self, request: Any, context: Context) -> ListTicksPage:
        await self._take(request, context)
        return ListTicksPage(ticks=self.ticks)

    async def PreviewTicks(self, request: Any, context: Context) -> PreviewTicksResponse:
        await self._take(request, context)
        return PreviewTicksResponse(times=[tick.at for tick in self.ticks])

    async def TestTick(self, request: Any, context: Context) -> TestedTick:
        await self._take(request, context)
        return self.tested

    async def RemoveAgent(self, request: Any, context: Context) -> RemoveAgentResponse:
        await self._take(request, context)
        return RemoveAgentResponse()


@dataclass
class CannedServer:
    """The canned control plane and where it listens."""

    plane: CannedControlPlane
    address: str
    server: grpc.aio.Server


async def serve(plane: CannedControlPlane, *, address: str = "127.0.0.1:0") -> CannedServer:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_ControlPlaneServicer_to_server(plane, server)
    port = server.add_insecure_port(address)
    await server.start()
    return CannedServer(plane=plane, address=f"127.0.0.1:{port}", server=server)


def a_run(run_id: str, *, job: str = "nightly", state: "RunState.ValueType" = RunState.RUN_STATE_QUEUED) -> Run:
    request = RunRequest(run=RunRef(run_id=run_id, attempt=1), location="etl", job_name=job)
    run = Run(request=request, state=state, deployment="default")
    run.queued_at.FromSeconds(1_900_000_000)
    if state not in (RunState.RUN_STATE_QUEUED, RunState.RUN_STATE_RUNNING):
        run.started_at.FromSeconds(1_900_000_001)
        run.ended_at.FromSeconds(1_900_000_003)
    return run


def a_location(name: str, *, jobs: Sequence[str] = ()) -> Location:
    location = Location(deployment="default", generation=3, phase=LocationPhase.LOCATION_PHASE_SERVING)
    location.settings.name = name
    location.settings.source.module = f"{name}.definitions"
    location.snapshot.CopyFrom(LocationSnapshot(jobs=[JobSnapshot(name=job) for job in jobs]))
    report = LocationReport(location=name, generation=3, phase=location.phase, serving_generation=3)
    location.placements.add(agent="local", report=report)
    return location
