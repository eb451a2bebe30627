"""The client's calls about schedules and sensors."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import (
    AUTOMATION_KIND_SCHEDULE,
    Automation,
    AutomationKind,
    AutomationRef,
    DecideAutomationRequest,
    ListAutomationsRequest,
    ListTicksPage,
    ListTicksRequest,
    PreviewTicksRequest,
    SetCursorRequest,
    TestedTick,
    TestTickRequest,
    TickStatus,
)

if TYPE_CHECKING:
    from isthmus.v1.control_plane_pb2_grpc import ControlPlaneAsyncStub

#: Seconds for an evaluation, which may take 60 by itself.
_EVALUATION_DEADLINE_S = 90.0


class AutomationCalls:
    """What a client asks of schedules and sensors. Without `location`, the only one of the name is meant."""

    _deployment: str
    _stub: "ControlPlaneAsyncStub"
    _call: Callable[..., Awaitable[Any]]

    async def list_automations(
        self, *, location: str = "", kind: "AutomationKind.ValueType" = AUTOMATION_KIND_SCHEDULE
    ) -> Sequence[Automation]:
        """Tell the schedules or sensors of the deployment, with their newest ticks."""
        request = ListAutomationsRequest(deployment=self._deployment, location=location, kind=kind)
        found: Sequence[Automation] = (await self._call(self._stub.ListAutomations, request)).automations
        return found

    async def get_automation(self, automation: AutomationRef) -> Automation:
        """Tell one schedule or sensor."""
        found: Automation = await self._call(self._stub.GetAutomation, self._meant(automation))
        return found

    async def start_automation(self, automation: AutomationRef, *, requested_by: str = "") -> Automation:
        """Let it run from now on, whatever the code's default is."""
        request = DecideAutomationRequest(automation=self._meant(automation), requested_by=requested_by)
        found: Automation = await self._call(self._stub.StartAutomation, request)
        return found

    async def stop_automation(self, automation: AutomationRef, *, requested_by: str = "") -> Automation:
        """Let it rest until it is started, whatever the code's default is."""
        request = DecideAutomationRequest(automation=self._meant(automation), requested_by=requested_by)
        found: Automation = await self._call(self._stub.StopAutomation, request)
        return found

    async def list_ticks(
        self,
        automation: AutomationRef,
        *,
        statuses: Iterable["TickStatus.ValueType"] = (),
        page_size: int = 0,
        before: datetime | None = None,
    ) -> ListTicksPage:
        """Tell its ticks, newest first: those for times before one, and in one of the statuses."""
        request = ListTicksRequest(
            automation=self._meant(automation), statuses=statuses, page_size=page_size, before=_stamp(before)
        )
        page: ListTicksPage = await self._call(self._stub.ListTicks, request)
        return page

    async def preview_ticks(
        self, automation: AutomationRef, *, count: int = 0, after: datetime | None = None
    ) -> list[datetime]:
        """Tell when a schedule is due next, whether it runs or not."""
        request = PreviewTicksRequest(automation=self._meant(automation), count=count, after=_stamp(after))
        times: Sequence[Timestamp] = (await self._call(self._stub.PreviewTicks, request)).times
        return [it.ToDatetime(tzinfo=UTC) for it in times]

    async def set_cursor(self, automation: AutomationRef, cursor: str, *, requested_by: str = "") -> Automation:
        """Put a sensor's cursor somewhere else; an empty one makes it begin anew."""
        request = SetCursorRequest(automation=self._meant(automation), cursor=cursor, requested_by=requested_by)
        found: Automation = await self._call(self._stub.SetCursor, request)
        return found

    async def test_tick(
        self, automation: AutomationRef, *, at: datetime | None = None, cursor: str | None = None
    ) -> TestedTick:
        """Evaluate it, a schedule for a time and a sensor with a cursor, and tell what would come of it.

        Nothing is written and nothing started.
        """
        request = TestTickRequest(automation=self._meant(automation), at=_stamp(at), cursor=cursor)
        tested: TestedTick = await self._call(self._stub.TestTick, request, deadline_s=_EVALUATION_DEADLINE_S)
        return tested

    def _meant(self, automation: AutomationRef) -> AutomationRef:
        message = AutomationRef()
        message.CopyFrom(automation)
        message.deployment = message.deployment or self._deployment
        message.kind = message.kind or AUTOMATION_KIND_SCHEDULE
        return message


def _stamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message
