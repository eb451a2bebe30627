# ruff: noqa: N802 - the names of the methods and their arguments are the contract's
"""A control plane that has no alert policies, and never sent anything."""

from typing import Any

import grpc
from isthmus.v1.control_plane_pb2 import (
    Alert,
    AlertPolicyState,
    ListAlertPoliciesResponse,
    ListAlertsPage,
    SyncAlertPoliciesResponse,
)
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer

Context = grpc.aio.ServicerContext[Any, Any]


class NoAlerts(ControlPlaneServicer):
    """Answers the calls about alerts, of which there are none."""

    async def SyncAlertPolicies(self, request: Any, context: Context) -> SyncAlertPoliciesResponse:
        return SyncAlertPoliciesResponse()

    async def ListAlertPolicies(self, request: Any, context: Context) -> ListAlertPoliciesResponse:
        return ListAlertPoliciesResponse()

    async def GetAlertPolicy(self, request: Any, context: Context) -> AlertPolicyState:
        return await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no alert policy {request.name!r}")

    async def TestAlertPolicy(self, request: Any, context: Context) -> Alert:
        return await context.abort(grpc.StatusCode.NOT_FOUND, "there are no alert policies")

    async def MuteAlertPolicy(self, request: Any, context: Context) -> AlertPolicyState:
        return await context.abort(grpc.StatusCode.NOT_FOUND, "there are no alert policies")

    async def UnmuteAlertPolicy(self, request: Any, context: Context) -> AlertPolicyState:
        return await context.abort(grpc.StatusCode.NOT_FOUND, "there are no alert policies")

    async def ListAlerts(self, request: Any, context: Context) -> ListAlertsPage:
        return ListAlertsPage()
