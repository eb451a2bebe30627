"""The client's calls about alert policies."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import (
    Alert,
    AlertPolicy,
    AlertPolicyRef,
    AlertPolicyState,
    ListAlertPoliciesRequest,
    ListAlertsPage,
    ListAlertsRequest,
    MuteAlertPolicyRequest,
    SyncAlertPoliciesRequest,
    SyncAlertPoliciesResponse,
    TestAlertPolicyRequest,
)

from isthmus_client.calls import Calls


class AlertCalls(Calls):
    """What a client asks of alert policies."""

    async def sync_alert_policies(
        self,
        policies: Iterable[AlertPolicy],
        *,
        prune: bool = False,
        dry_run: bool = False,
        requested_by: str = "",
    ) -> SyncAlertPoliciesResponse:
        """Put policies in the place of those that have their names, and tell what that changes.

        Args:
            policies: As they are to be.
            prune: Remove the policies that are not among them.
            dry_run: Only tell.
            requested_by: Who wants it.
        """
        request = SyncAlertPoliciesRequest(
            deployment=self._deployment, policies=policies, prune=prune, dry_run=dry_run, requested_by=requested_by
        )
        return await self._call(self._stub.SyncAlertPolicies, request)

    async def list_alert_policies(self) -> Sequence[AlertPolicyState]:
        """Tell the deployment's policies, without addresses and secrets of receivers."""
        request = ListAlertPoliciesRequest(deployment=self._deployment)
        return (await self._call(self._stub.ListAlertPolicies, request)).policies

    async def get_alert_policy(self, name: str) -> AlertPolicyState:
        """Tell one policy."""
        request = AlertPolicyRef(deployment=self._deployment, name=name)
        return await self._call(self._stub.GetAlertPolicy, request)

    async def test_alert_policy(self, name: str, *, requested_by: str = "") -> Alert:
        """Send a marked example to a policy's receivers."""
        request = TestAlertPolicyRequest(deployment=self._deployment, name=name, requested_by=requested_by)
        return await self._call(self._stub.TestAlertPolicy, request)

    async def mute_alert_policy(
        self, name: str, *, why: str = "", for_s: float = 0.0, requested_by: str = ""
    ) -> AlertPolicyState:
        """Let nothing be sent for a policy, for so many seconds; for 0, until it is unmuted."""
        request = MuteAlertPolicyRequest(
            deployment=self._deployment, name=name, why=why, for_s=for_s, requested_by=requested_by
        )
        return await self._call(self._stub.MuteAlertPolicy, request)

    async def unmute_alert_policy(self, name: str) -> AlertPolicyState:
        """Let things be sent for a policy again."""
        request = AlertPolicyRef(deployment=self._deployment, name=name)
        return await self._call(self._stub.UnmuteAlertPolicy, request)

    async def list_alerts(
        self, *, policy: str = "", page_size: int = 0, before: datetime | None = None
    ) -> ListAlertsPage:
        """Tell what was told, newest first, and what came of each receiver."""
        request = ListAlertsRequest(deployment=self._deployment, policy=policy, page_size=page_size)
        if before is not None:
            stamp = Timestamp()
            stamp.FromDatetime(before)
            request.before.CopyFrom(stamp)
        return await self._call(self._stub.ListAlerts, request)
