"""The client's calls about schedules and sensors."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

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

from isthmus_client.calls import Calls

#: Seconds for an evaluation, which may take 60 by itself.
_EVALUATION_DEADLINE_S = 90.0


class AutomationCalls(Calls):
    """What a client asks of schedules and sensors. Without `location`, the only one of the name is meant."""

    async def list_automations(
        self, *, location: str = "", kind: "AutomationKind.ValueType" = AUTOMATION_KIND_SCHEDULE
    ) -> Sequence[Automation]:
        """Tell the schedules or sensors of the deployment, with their newest ticks."""
        request = ListAutomationsRequest(deployment=self._deployment, location=location, kind=kind)
        return (await self._call(self._stub.ListAutomations, request)).automations

    async def get_automation(self, automation: AutomationRef) -> Automation:
        """Tell one schedule or sensor."""
        return await self._call(self._stub.GetAutomation, self._meant_automation(automation))

    async def start_automation(self, automation: AutomationRef, *, requested_by: str = "") -> Automation:
        """Let it run from now on, whatever the code's default is."""
        request = DecideAutomationRequest(automation=self._meant_automation(automation), requested_by=requested_by)
        return await self._call(self._stub.StartAutomation, request)

    async def stop_automation(self, automation: AutomationRef, *, requested_by: str = "") -> Automation:
        """Let it rest until it is started, whatever the code's default is."""
        request = DecideAutomationRequest(automation=self._meant_automation(automation), requested_by=requested_by)
        return await self._call(self._stub.StopAutomation, request)

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
            automation=self._meant_automation(automation), statuses=statuses, page_size=page_size, before=_stamp(before)
        )
        return await self._call(self._stub.ListTicks, request)

    async def preview_ticks(
        self, automation: AutomationRef, *, count: int = 0, after: datetime | None = None
    ) -> list[datetime]:
        """Tell when a schedule is due next, whether it runs or not."""
        request = PreviewTicksRequest(automation=self._meant_automation(automation), count=count, after=_stamp(after))
        times = (await self._call(self._stub.PreviewTicks, request)).times
        return [it.ToDatetime(tzinfo=UTC) for it in times]

    async def set_cursor(self, automation: AutomationRef, cursor: str, *, requested_by: str = "") -> Automation:
        """Put a sensor's cursor somewhere else; an empty one makes it begin anew."""
        request = SetCursorRequest(
            automation=self._meant_automation(automation), cursor=cursor, requested_by=requested_by
        )
        return await self._call(self._stub.SetCursor, request)

    async def test_tick(
        self, automation: AutomationRef, *, at: datetime | None = None, cursor: str | None = None
    ) -> TestedTick:
        """Evaluate it, a schedule for a time and a sensor with a cursor, and tell what would come of it.

        Nothing is written and nothing started.
        """
        request = TestTickRequest(automation=self._meant_automation(automation), at=_stamp(at), cursor=cursor)
        return await self._call(self._stub.TestTick, request, deadline_s=_EVALUATION_DEADLINE_S)

    def _meant_automation(self, automation: AutomationRef) -> AutomationRef:
        message = self._meant(automation)
        message.kind = message.kind or AUTOMATION_KIND_SCHEDULE
        return message


def _stamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message
