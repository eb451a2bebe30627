"""Behind a company's proxy: what is on this machine is called directly."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.cli.conftest import Isthmus
from contract.cli.dev_kit import DEFINITIONS, running_dev
from contract.cli.dev_kit import isthmus as isthmus_in

#: As programs spell them; gRPC reads the small ones and one of its own.
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture
def dead_proxy() -> Iterator[dict[str, str]]:
    """An environment that names a proxy on whose port nobody listens, and no exception from it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{held.getsockname()[1]}"
        yield {**dict.fromkeys(VARIABLES, address), "no_proxy": "", "NO_PROXY": ""}


async def test_a_control_plane_of_this_machine_is_not_looked_for_through_a_proxy(
    isthmus: Isthmus, dead_proxy: dict[str, str]
) -> None:
    outcome = await isthmus("run", "list", environment=dead_proxy)
    assert outcome.code == 0, outcome.err


async def test_a_project_runs_on_this_machine_beside_a_proxy_that_is_dead(
    tmp_path: Path, dead_proxy: dict[str, str]
) -> None:
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    async with running_dev(tmp_path, additional=dead_proxy) as dev:
        await dev.read_until("Ctrl-C stops everything")
        code, out, err = await isthmus_in(tmp_path, "run", "launch", "greeting", "--watch", additional=dead_proxy)
        assert (code, "SUCCEEDED" in out) == (0, True), out + err
