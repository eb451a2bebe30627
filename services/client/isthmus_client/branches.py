"""The client's calls about branch deployments."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import (
    Branch,
    BranchRef,
    CodeVersion,
    CreateBranchRequest,
    DeleteBranchRequest,
    ListBranchesRequest,
)

from isthmus_client.calls import Calls


@dataclass(frozen=True, kw_only=True)
class NewBranch:
    """What a branch deployment is to be.

    Attributes:
        name: Its name within the client's deployment, to which it belongs.
        pool: The pool whose agents serve it; empty for all agents of the deployment.
        code_version: Of which version its code is.
        expires_after_s: Seconds after which it is deleted by itself; 0 for never.
        max_runs: So many runs at once at the most; None for as many as come. Of one that is there, its own settings stay.
    """

    name: str
    pool: str = ""
    code_version: CodeVersion | None = None
    expires_after_s: float = 0.0
    max_runs: int | None = None


class BranchCalls(Calls):
    """What a client asks of the branch deployments of its deployment."""

    async def create_branch(self, branch: NewBranch, *, requested_by: str = "") -> Branch:
        """Make a branch deployment, or take its code's version and the time of its end anew."""
        request = CreateBranchRequest(
            deployment=self._deployment,
            name=branch.name,
            pool=branch.pool,
            code_version=branch.code_version,
            expires_after_s=branch.expires_after_s,
            max_runs=branch.max_runs,
            requested_by=requested_by,
        )
        return await self._call(self._stub.CreateBranch, request)

    async def list_branches(self) -> Sequence[Branch]:
        """Tell the branch deployments, by name."""
        request = ListBranchesRequest(deployment=self._deployment)
        return (await self._call(self._stub.ListBranches, request)).branches

    async def get_branch(self, name: str) -> Branch:
        """Tell one branch deployment; NotFoundError when nothing is left of it."""
        return await self._call(self._stub.GetBranch, BranchRef(deployment=self._deployment, name=name))

    async def delete_branch(self, name: str, *, end_runs: bool = False, requested_by: str = "") -> Branch:
        """Have a branch deployment deleted with all that is its own.

        Args:
            name: The branch.
            end_runs: End the runs that live in it; it is refused otherwise while there are some.
            requested_by: Who wants it.
        """
        request = DeleteBranchRequest(
            deployment=self._deployment, name=name, end_runs=end_runs, requested_by=requested_by
        )
        return await self._call(self._stub.DeleteBranch, request)
