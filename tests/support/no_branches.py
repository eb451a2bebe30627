# ruff: noqa: N802 - the names of the methods and their arguments are the contract's
"""A control plane that has no branch deployments, and makes none."""

from typing import Any

import grpc
from isthmus.v1.control_plane_pb2 import Branch, ListBranchesResponse
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer

Context = grpc.aio.ServicerContext[Any, Any]


class NoBranches(ControlPlaneServicer):
    """Answers the calls about branch deployments, of which there are none."""

    async def CreateBranch(self, request: Any, context: Context) -> Branch:
        return await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no branch deployments are made here")

    async def ListBranches(self, request: Any, context: Context) -> ListBranchesResponse:
        return ListBranchesResponse()

    async def GetBranch(self, request: Any, context: Context) -> Branch:
        return await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no branch {request.name!r}")

    async def DeleteBranch(self, request: Any, context: Context) -> Branch:
        return await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no branch {request.name!r}")
