"""The calls about branch deployments: each handed to its desk, each record turned into its message."""
# ruff: noqa: N802, D102, ARG002 - gRPC gives the methods names and arguments, and the contract documents them

from typing import Any

import grpc
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneServicer

from isthmus_control_plane import clock
from isthmus_control_plane.desk.branches import BranchDesk, BranchView

_Context = grpc.aio.ServicerContext[Any, Any]


class BranchService(ControlPlaneServicer):
    """Answers the calls about branch deployments."""

    def __init__(self, desk: BranchDesk) -> None:
        self._branches = desk

    async def CreateBranch(self, request: api.CreateBranchRequest, context: _Context) -> api.Branch:
        return _branch(await self._branches.create(request))

    async def ListBranches(self, request: api.ListBranchesRequest, context: _Context) -> api.ListBranchesResponse:
        return api.ListBranchesResponse(branches=[_branch(it) for it in await self._branches.all_of(request)])

    async def GetBranch(self, request: api.BranchRef, context: _Context) -> api.Branch:
        return _branch(await self._branches.get(request))

    async def DeleteBranch(self, request: api.DeleteBranchRequest, context: _Context) -> api.Branch:
        return _branch(await self._branches.delete(request))


def _branch(view: BranchView) -> api.Branch:
    it = view.branch
    told = api.Branch(
        parent=it.parent,
        name=it.name,
        deployment=it.deployment,
        pool=it.pool,
        created_by=it.created_by,
        created_at=clock.stamp(it.created_at),
        expires_at=clock.optional_stamp(it.expires_at),
        deleting_at=clock.optional_stamp(it.deleting_at),
        deleted_by=it.deleted_by,
        waits_for=view.waits_for,
        agents=view.agents,
        active_runs=view.active_runs,
    )
    if it.code_version is not None:
        told.code_version.MergeFromString(it.code_version)
    return told
