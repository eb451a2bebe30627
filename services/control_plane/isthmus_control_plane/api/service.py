"""The service of the contract: each call handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus_store.record.run import Run

from isthmus_control_plane import message
from isthmus_control_plane.api import queue_message
from isthmus_control_plane.api.alert import AlertService
from isthmus_control_plane.api.automation import AutomationService
from isthmus_control_plane.api.backfill import BackfillService
from isthmus_control_plane.api.branch import BranchService
from isthmus_control_plane.api.catalog import CatalogService
from isthmus_control_plane.desk.agents import AgentDesk, AgentView
from isthmus_control_plane.desk.alerts import AlertDesk
from isthmus_control_plane.desk.asset_changes import AssetChangeDesk
from isthmus_control_plane.desk.assets import AssetDesk
from isthmus_control_plane.desk.automations import AutomationDesk
from isthmus_control_plane.desk.backfills import BackfillDesk
from isthmus_control_plane.desk.branches import BranchDesk
from isthmus_control_plane.desk.deletion import DeletionDesk
from isthmus_control_plane.desk.explanation import ExplanationDesk
from isthmus_control_plane.desk.generations import GenerationDesk
from isthmus_control_plane.desk.locations import LocationDesk, LocationView
from isthmus_control_plane.desk.logs import LogDesk
from isthmus_control_plane.desk.questions import QuestionDesk
from isthmus_control_plane.desk.queue import QueueDesk
from isthmus_control_plane.desk.reexecution import ReexecutionDesk
from isthmus_control_plane.desk.reload import ReloadGate
from isthmus_control_plane.desk.run_list import RunListDesk
from isthmus_control_plane.desk.runs import RunDesk
from isthmus_control_plane.desk.watch import Standing, WatchDesk
from isthmus_control_plane.dispatching.acceptance import Accepted
from isthmus_control_plane.key import DEFAULT, LocationKey

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Desks:
    """Who does what."""

    agents: AgentDesk
    locations: LocationDesk
    generations: GenerationDesk
    runs: RunDesk
    run_list: RunListDesk
    watch: WatchDesk
    reloads: ReloadGate
    questions: QuestionDesk
    logs: LogDesk
    reexecution: ReexecutionDesk
    deletion: DeletionDesk
    queue: QueueDesk
    explanation: ExplanationDesk
    automations: AutomationDesk
    assets: AssetDesk
    asset_changes: AssetChangeDesk
    alerts: AlertDesk
    backfills: BackfillDesk
    branches: BranchDesk


class ControlPlaneService(AutomationService, CatalogService, AlertService, BackfillService, BranchService):
    """Answers the API's calls."""

    def __init__(self, desks: Desks) -> None:
        AutomationService.__init__(self, desks.automations)
        CatalogService.__init__(self, desks.assets, changes=desks.asset_changes)
        AlertService.__init__(self, desks.alerts)
        BackfillService.__init__(self, desks.backfills)
        BranchService.__init__(self, desks.branches)
        self._desks = desks

    async def CreateAgent(self, request: api.CreateAgentRequest, context: _Context) -> api.Agent:
        return _agent(await self._desks.agents.create(request))

    async def ListAgents(self, request: api.ListAgentsRequest, context: _Context) -> api.ListAgentsResponse:
        return api.ListAgentsResponse(agents=[_agent(it) for it in await self._desks.agents.all_of(request)])

    async def GetAgent(self, request: api.GetAgentRequest, context: _Context) -> api.Agent:
        return _agent(await self._desks.agents.get(request))

    async def RemoveAgent(self, request: api.RemoveAgentRequest, context: _Context) -> api.RemoveAgentResponse:
        await self._desks.agents.remove(request)
        return api.RemoveAgentResponse()

    async def DrainAgent(self, request: api.DrainAgentRequest, context: _Context) -> api.Agent:
        return _agent(await self._desks.agents.drain(request))

    async def ApplyLocation(self, request: api.ApplyLocationRequest, context: _Context) -> api.Location:
        if request.validate_only:
            return api.Location(
                deployment=request.deployment or DEFAULT, settings=self._desks.locations.checked(request)
            )
        return _location(await self._desks.locations.apply(request))

    async def ListLocations(self, request: api.ListLocationsRequest, context: _Context) -> api.ListLocationsResponse:
        return api.ListLocationsResponse(
            locations=[_location(it) for it in await self._desks.locations.all_of(request)]
        )

    async def GetLocation(self, request: api.GetLocationRequest, context: _Context) -> api.Location:
        return _location(await self._desks.locations.get(request))

    async def WatchLocation(self, request: api.WatchLocationRequest, context: _Context) -> AsyncIterator[api.Location]:
        async with aclosing(self._desks.locations.watch(request)) as views:
            async for view in views:
                yield _location(view)

    async def GetSnapshot(
        self, request: api.GetSnapshotRequest, context: _Context
    ) -> AsyncIterator[telemetry_pb2.SnapshotPiece]:
        async with aclosing(self._desks.locations.snapshot(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def RemoveLocation(self, request: api.RemoveLocationRequest, context: _Context) -> api.RemoveLocationResponse:
        await self._desks.locations.remove(request)
        return api.RemoveLocationResponse()

    async def ListGenerations(self, request: api.ListGenerationsRequest, context: _Context) -> api.ListGenerationsPage:
        page = await self._desks.generations.page(request)
        return api.ListGenerationsPage(
            generations=[message.generation(it) for it in page.generations], has_more=page.has_more
        )

    async def RollbackLocation(self, request: api.RollbackLocationRequest, context: _Context) -> api.Location:
        return _location(await self._desks.generations.roll_back(request))

    async def LaunchRun(self, request: api.LaunchRunRequest, context: _Context) -> api.Run:
        await self._desks.reloads.wait(LocationKey(request.deployment or DEFAULT, request.location))
        return await self._accepted(await self._desks.runs.launch(request))

    async def ValidateRun(self, request: api.LaunchRunRequest, context: _Context) -> api.ValidateLaunchResponse:
        await self._desks.reloads.wait(LocationKey(request.deployment or DEFAULT, request.location))
        found = await self._desks.questions.validate(request, time_left_s=context.time_remaining())
        return api.ValidateLaunchResponse(violations=found.violations, failure=found.failure)

    async def ReexecuteRun(self, request: api.ReexecuteRunRequest, context: _Context) -> api.Run:
        return await self._accepted(await self._desks.reexecution.reexecute(request))

    async def GetRun(self, request: api.GetRunRequest, context: _Context) -> api.Run:
        return await self._described(await self._desks.runs.get(deployment=request.deployment, run_id=request.run_id))

    async def FindRun(self, request: api.FindRunRequest, context: _Context) -> api.Run:
        return await self._described(await self._desks.runs.find(request))

    async def ListRuns(self, request: api.ListRunsQuery, context: _Context) -> api.ListRunsPage:
        page = await self._desks.runs.page(request)
        token = page.next.encode() if page.next is not None else ""
        tags = await self._desks.runs.tags(page.runs)
        runs = [message.listed_run(it, tags=tags.get(it.run_id)) for it in page.runs]
        return api.ListRunsPage(runs=runs, next_page_token=token)

    async def WatchRuns(self, request: api.ListRunsQuery, context: _Context) -> AsyncIterator[api.WatchedRuns]:
        async with aclosing(self._desks.run_list.watch(request)) as told:
            async for news in told:
                changed = [message.listed_run(it, tags=news.tags.get(it.run_id)) for it in news.changed]
                yield api.WatchedRuns(run_ids=news.run_ids, changed=changed, next_page_token=news.next_page_token)

    async def WatchRun(self, request: api.WatchRunRequest, context: _Context) -> AsyncIterator[api.RunUpdate]:
        async with aclosing(self._desks.watch.watch(request)) as told:
            async for news in told:
                if isinstance(news, Standing):
                    yield api.RunUpdate(run=message.run(news.run, tags=news.tags))
                else:
                    yield message.update(news)

    async def TerminateRun(self, request: api.TerminateRunRequest, context: _Context) -> api.Run:
        return await self._described(await self._desks.runs.terminate(request))

    async def _accepted(self, accepted: Accepted) -> api.Run:
        if accepted.tags is None:
            return await self._described(accepted.run)
        # Nothing is read back of what was written just now: the caller waits.
        return message.run(accepted.run, tags=accepted.tags)

    async def _described(self, run: Run) -> api.Run:
        return message.run(run, tags=(await self._desks.runs.tags([run])).get(run.run_id))

    async def DeleteRun(self, request: api.DeleteRunRequest, context: _Context) -> api.DeleteRunResponse:
        await self._desks.deletion.delete(request)
        return api.DeleteRunResponse()

    async def ExplainRun(self, request: api.ExplainRunRequest, context: _Context) -> api.RunExplanation:
        found = await self._desks.explanation.explain(request)
        return queue_message.explanation(found, run=await self._described(found.run))

    async def GetQueue(self, request: api.GetQueueRequest, context: _Context) -> api.Queue:
        return queue_message.queue(await self._desks.queue.get(request))

    async def SetQueueSettings(
        self, request: api.SetQueueSettingsRequest, context: _Context
    ) -> api.QueueSettingsRevision:
        return queue_message.settings(await self._desks.queue.set(request))

    async def Pause(self, request: api.PauseRequest, context: _Context) -> api.PausedThing:
        return queue_message.paused(await self._desks.queue.pause(request))

    async def Resume(self, request: api.ResumeRequest, context: _Context) -> api.ResumeResponse:
        await self._desks.queue.resume(request)
        return api.ResumeResponse()

    async def StreamLogs(
        self, request: api.StreamLogsRequest, context: _Context
    ) -> AsyncIterator[telemetry_pb2.LogChunk]:
        async with aclosing(self._desks.logs.stream(request, time_left_s=context.time_remaining())) as chunks:
            async for chunk in chunks:
                yield chunk


def _agent(view: AgentView) -> api.Agent:
    return message.agent(view.agent, placements=view.placements)


def _location(view: LocationView) -> api.Location:
    told = message.location(
        view.location, placements=view.placements, surroundings=view.surroundings, snapshot=view.snapshot
    )
    told.snapshot_hash, told.snapshot_bytes = view.snapshot_hash, view.snapshot_bytes
    return told
