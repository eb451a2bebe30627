"""The client's calls about what locations were to be."""

from isthmus.v1.control_plane_pb2 import (
    ApplyLocationRequest,
    CodeVersion,
    ListGenerationsPage,
    ListGenerationsRequest,
    Location,
    LocationSettings,
    RollbackLocationRequest,
)

from isthmus_client.calls import Calls


class DeployingCalls(Calls):
    """What a client asks of the histories of locations, and of branch deployments."""

    async def validate_location(self, settings: LocationSettings, *, code_version: CodeVersion | None = None) -> None:
        """Find out whether a location could be applied, and change nothing; InvalidRequestError names what is wrong."""
        request = ApplyLocationRequest(
            deployment=self._deployment, settings=settings, code_version=code_version, validate_only=True
        )
        await self._call(self._stub.ApplyLocation, request)

    async def list_generations(
        self, name: str, *, page_size: int = 0, before_generation: int = 0
    ) -> ListGenerationsPage:
        """Tell one page of what a location was to be, newest first."""
        request = ListGenerationsRequest(
            deployment=self._deployment, name=name, page_size=page_size, before_generation=before_generation
        )
        return await self._call(self._stub.ListGenerations, request)

    async def roll_back_location(self, name: str, *, generation: int = 0, requested_by: str = "") -> Location:
        """Make the settings of an earlier generation the wanted ones, as a new generation.

        Args:
            name: The location.
            generation: Which; 0 for the newest before the wanted one that has others.
            requested_by: Who asks, for the history.
        """
        request = RollbackLocationRequest(
            deployment=self._deployment, name=name, generation=generation, requested_by=requested_by
        )
        return await self._call(self._stub.RollbackLocation, request)
