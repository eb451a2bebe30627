"""The client's calls about alert policies, for code without an event loop."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from isthmus.v1.control_plane_pb2 import (
    Alert,
    AlertPolicy,
    AlertPolicyState,
    ListAlertsPage,
    SyncAlertPoliciesResponse,
)

from isthmus_client.blocking_calls import BlockingCalls


class BlockingAlertCalls(BlockingCalls):
    """What a client asks of alert policies; each method returns when it is done."""

    def sync_alert_policies(
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
        return self._wait(
            self._client.sync_alert_policies(policies, prune=prune, dry_run=dry_run, requested_by=requested_by)
        )

    def list_alert_policies(self) -> Sequence[AlertPolicyState]:
        """Tell the deployment's policies, without addresses and secrets of receivers."""
        return self._wait(self._client.list_alert_policies())

    def get_alert_policy(self, name: str) -> AlertPolicyState:
        """Tell one policy."""
        return self._wait(self._client.get_alert_policy(name))

    def test_alert_policy(self, name: str, *, requested_by: str = "") -> Alert:
        """Send a marked example to a policy's receivers."""
        return self._wait(self._client.test_alert_policy(name, requested_by=requested_by))

    def mute_alert_policy(
        self, name: str, *, why: str = "", for_s: float = 0.0, requested_by: str = ""
    ) -> AlertPolicyState:
        """Let nothing be sent for a policy, for so many seconds; for 0, until it is unmuted."""
        return self._wait(self._client.mute_alert_policy(name, why=why, for_s=for_s, requested_by=requested_by))

    def unmute_alert_policy(self, name: str) -> AlertPolicyState:
        """Let things be sent for a policy again."""
        return self._wait(self._client.unmute_alert_policy(name))

    def list_alerts(self, *, policy: str = "", page_size: int = 0, before: datetime | None = None) -> ListAlertsPage:
        """Tell what was told, newest first, and what came of each receiver."""
        return self._wait(self._client.list_alerts(policy=policy, page_size=page_size, before=before))
