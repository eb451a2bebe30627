"""The calls about schedules and sensors: each handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

from typing import Any

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer
from isthmus.v1.telemetry_pb2 import WantedChanges
from isthmus_store import wire
from isthmus_store.state import InstigatorStatus

from isthmus_control_plane import clock, message
from isthmus_control_plane.automation.watchlist import interval
from isthmus_control_plane.desk.automations import AutomationDesk, AutomationView, Trial
from isthmus_control_plane.validation.definition import AUTOMATION

_Context = grpc.aio.ServicerContext[Any, Any]


class AutomationService(ControlPlaneServicer):
    """Answers the calls about schedules and sensors."""

    def __init__(self, desk: AutomationDesk) -> None:
        self._automations = desk

    async def ListAutomations(
        self, request: api.ListAutomationsRequest, context: _Context
    ) -> api.ListAutomationsResponse:
        return api.ListAutomationsResponse(
            automations=[_automation(it) for it in await self._automations.all_of(request)]
        )

    async def GetAutomation(self, request: api.AutomationRef, context: _Context) -> api.Automation:
        return _automation(await self._automations.get(request))

    async def StartAutomation(self, request: api.DecideAutomationRequest, context: _Context) -> api.Automation:
        return _automation(await self._automations.decide(request, InstigatorStatus.RUNNING))

    async def StopAutomation(self, request: api.DecideAutomationRequest, context: _Context) -> api.Automation:
        return _automation(await self._automations.decide(request, InstigatorStatus.STOPPED))

    async def ListTicks(self, request: api.ListTicksRequest, context: _Context) -> api.ListTicksPage:
        page = await self._automations.page(request)
        return api.ListTicksPage(ticks=[message.tick(it) for it in page.ticks], has_more=page.has_more)

    async def PreviewTicks(self, request: api.PreviewTicksRequest, context: _Context) -> api.PreviewTicksResponse:
        return api.PreviewTicksResponse(times=[clock.stamp(it) for it in await self._automations.preview(request)])

    async def TestTick(self, request: api.TestTickRequest, context: _Context) -> api.TestedTick:
        return _tested(await self._automations.test(request))

    async def SetCursor(self, request: api.SetCursorRequest, context: _Context) -> api.Automation:
        return _automation(await self._automations.set_cursor(request))


def _automation(view: AutomationView) -> api.Automation:
    it, schedule, sensor = view.instigator, view.schedule, view.sensor
    told = api.Automation(
        deployment=it.deployment,
        location=it.location,
        kind=api.AutomationKind.Value(f"AUTOMATION_KIND_{it.kind.value}"),
        name=it.name,
        is_running=it.is_running,
        is_decided=it.decided is not None,
        decided_by=it.decided_by,
        decided_at=clock.optional_stamp(it.decided_at),
        next_at=clock.optional_stamp(view.next_at),
        catch_up=view.catch_up,
        problem=view.problem,
        last_tick=message.tick(view.newest) if view.newest is not None else None,
        # One that only the framework can read is as large as the definitions.
        cursor="" if sensor is not None and sensor.kind == AUTOMATION else it.cursor,
        is_gone=it.gone_at is not None,
    )
    if schedule is not None:
        told.description = schedule.description
        told.is_running_by_default = schedule.is_running_by_default
        told.cron_schedules.extend(schedule.crons)
        told.timezone = schedule.timezone
        if schedule.target.job_name:
            told.job_names.append(schedule.target.job_name)
    if sensor is not None:
        told.description = sensor.description
        told.is_running_by_default = sensor.is_running_by_default
        told.minimum_interval_s = interval(sensor).total_seconds()
        told.job_names.extend(target.job_name for target in sensor.targets if target.job_name)
    return told


def _tested(trial: Trial) -> api.TestedTick:
    effects = trial.effects
    return api.TestedTick(
        at=clock.stamp(trial.at),
        status=api.TickStatus.ValueType(wire.TICK_STATUSES.to_wire(effects.status)),
        runs=[launch.request for launch in effects.launches],
        backfills=[api.WantedBackfill(assets=it.assets, tags=it.tags) for it in effects.backfills],
        skip_reason=effects.skip_reason,
        failure=message.failure(effects.failure),
        evaluation=message.evaluation(effects.evaluation),
        changes=WantedChanges(
            partitions=effects.partitions, asset_events=effects.asset_events, run_tags=effects.run_tags
        ),
        cursor="" if effects.is_cursor_opaque else effects.cursor or "",
    )
