"""The client's calls about branch deployments, for code without an event loop."""

from collections.abc import Sequence

from isthmus.v1.control_plane_pb2 import Branch

from isthmus_client.blocking_calls import BlockingCalls
from isthmus_client.branches import NewBranch


class BlockingBranchCalls(BlockingCalls):
    """What a client asks of the branch deployments of its deployment; each method returns when it is done."""

    def create_branch(self, branch: NewBranch, *, requested_by: str = "") -> Branch:
        """Make a branch deployment, or take its code's version and the time of its end anew."""
        return self._wait(self._client.create_branch(branch, requested_by=requested_by))

    def list_branches(self) -> Sequence[Branch]:
        """Tell the branch deployments, by name."""
        return self._wait(self._client.list_branches())

    def get_branch(self, name: str) -> Branch:
        """Tell one branch deployment; NotFoundError when nothing is left of it."""
        return self._wait(self._client.get_branch(name))

    def delete_branch(self, name: str, *, end_runs: bool = False, requested_by: str = "") -> Branch:
        """Have a branch deployment deleted with all that is its own.

        Args:
            name: The branch.
            end_runs: End the runs that live in it; it is refused otherwise while there are some.
            requested_by: Who wants it.
        """
        return self._wait(self._client.delete_branch(name, end_runs=end_runs, requested_by=requested_by))
