"""The calls about alert policies: each handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

import json
from typing import Any

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer
from isthmus_store.alert_policies import Changes
from isthmus_store.alert_receiver import without_secrets
from isthmus_store.record.alert import AlertDelivery

from isthmus_control_plane import clock
from isthmus_control_plane.desk.alerts import AlertDesk, AlertView, PolicyView

_Context = grpc.aio.ServicerContext[Any, Any]
#: Receivers that no policy has: those of the monitor's settings, and those that policies had.
_OTHER = "another receiver"


class AlertService(ControlPlaneServicer):
    """Answers the calls about alert policies."""

    def __init__(self, desk: AlertDesk) -> None:
        self._alerts = desk

    async def SyncAlertPolicies(
        self, request: api.SyncAlertPoliciesRequest, context: _Context
    ) -> api.SyncAlertPoliciesResponse:
        return _changes(await self._alerts.sync(request))

    async def ListAlertPolicies(
        self, request: api.ListAlertPoliciesRequest, context: _Context
    ) -> api.ListAlertPoliciesResponse:
        return api.ListAlertPoliciesResponse(policies=[_policy(it) for it in await self._alerts.all_of(request)])

    async def GetAlertPolicy(self, request: api.AlertPolicyRef, context: _Context) -> api.AlertPolicyState:
        return _policy(await self._alerts.get(request))

    async def TestAlertPolicy(self, request: api.TestAlertPolicyRequest, context: _Context) -> api.Alert:
        return _alert(await self._alerts.test(request))

    async def MuteAlertPolicy(self, request: api.MuteAlertPolicyRequest, context: _Context) -> api.AlertPolicyState:
        return _policy(await self._alerts.mute(request))

    async def UnmuteAlertPolicy(self, request: api.AlertPolicyRef, context: _Context) -> api.AlertPolicyState:
        return _policy(await self._alerts.unmute(request))

    async def ListAlerts(self, request: api.ListAlertsRequest, context: _Context) -> api.ListAlertsPage:
        page = await self._alerts.page(request)
        return api.ListAlertsPage(alerts=[_alert(it) for it in page.alerts], has_more=page.has_more)


def _changes(it: Changes) -> api.SyncAlertPoliciesResponse:
    return api.SyncAlertPoliciesResponse(
        added=it.added, changed=it.changed, removed=it.removed, unchanged=it.unchanged, kept=it.kept
    )


def _policy(view: PolicyView) -> api.AlertPolicyState:
    row = view.row
    shown = api.AlertPolicy.FromString(row.body)
    receivers = [without_secrets(it) for it in shown.to]
    del shown.to[:]
    shown.to.extend(receivers)
    told = api.AlertPolicyState(
        deployment=row.deployment,
        policy=shown,
        revision=row.revision,
        changed_by=row.changed_by,
        changed_at=clock.stamp(row.changed_at),
        open=view.open,
    )
    if view.is_muted:
        told.mute.CopyFrom(
            api.AlertMute(
                muted_by=row.muted_by,
                why=row.mute_why,
                muted_at=clock.optional_stamp(row.muted_at),
                until=clock.optional_stamp(row.muted_until),
            )
        )
    return told


def _alert(view: AlertView) -> api.Alert:
    it = view.alert
    said = json.loads(it.payload)
    return api.Alert(
        id=it.id,
        deployment=it.deployment,
        policy=it.policy,
        kind=it.kind,
        subject=it.subject,
        title=said.get("title", ""),
        facts=it.facts,
        at=clock.stamp(it.created_at),
        payload=it.payload,
        deliveries=[_delivery(one, name=view.names.get(one.endpoint, _OTHER)) for one in view.deliveries],
    )


def _delivery(it: AlertDelivery, *, name: str) -> api.AlertDelivery:
    is_open = it.delivered_at is None and it.gave_up_at is None
    return api.AlertDelivery(
        receiver=name,
        tries=it.tries,
        delivered_at=clock.optional_stamp(it.delivered_at),
        gave_up_at=clock.optional_stamp(it.gave_up_at),
        next_attempt_at=clock.stamp(it.next_attempt_at) if is_open else None,
        last_error=it.last_error,
    )
