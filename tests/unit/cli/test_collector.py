"""The garbage collector rests while a command is imported, and no longer."""

import gc

import pytest
from isthmus_cli.collector import rest_collector
from isthmus_cli.options import ServerOptions
from isthmus_cli.session import connected
from isthmus_client.errors import UnavailableError


async def test_the_collector_works_as_soon_as_a_command_works() -> None:
    rest_collector()
    try:
        with pytest.raises(UnavailableError):
            async with connected(ServerOptions(server="127.0.0.1:1", deployment=None)):
                pass
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0, "what was imported is not looked through"
    finally:
        gc.enable()
        gc.unfreeze()
