"""A canned control plane, and a client of it."""

from collections.abc import AsyncIterator

import pytest
from isthmus_client.client import ControlPlaneClient
from support.canned import CannedControlPlane, CannedServer, serve


@pytest.fixture
async def canned() -> AsyncIterator[CannedServer]:
    canned = await serve(CannedControlPlane())
    yield canned
    await canned.server.stop(None)


@pytest.fixture
async def client(canned: CannedServer) -> AsyncIterator[ControlPlaneClient]:
    async with ControlPlaneClient(canned.address) as client:
        yield client
