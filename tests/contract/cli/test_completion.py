"""What the shell is told when a person presses the key: names, soon, and never an error."""

import time

import pytest
from contract.cli.conftest import Isthmus
from isthmus.v1.control_plane_pb2 import Agent
from isthmus.v1.telemetry_pb2 import AssetKey
from support.canned import CannedServer, a_location, a_run

RUN_ID = "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11"


async def completed(isthmus: Isthmus, line: str, **environment: str) -> list[str]:
    """Complete the last word of a line, as bash asks for it."""
    asked = {"_ISTHMUS_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    outcome = await isthmus(environment={**asked, **environment})
    assert outcome.err == ""
    return [told.partition(",")[2] for told in outcome.out.splitlines() if told]


@pytest.fixture
def names(canned: CannedServer) -> CannedServer:
    etl = a_location("etl", jobs=["nightly", "hourly"])
    for path in (["raw", "trips"], ["raw", "stations"], ["report"]):
        etl.snapshot.assets.add(key=AssetKey(path=path))
    canned.plane.locations = {"etl": etl, "ml": a_location("ml", jobs=["train"])}
    canned.plane.agents = {"alpha": Agent(name="alpha")}
    canned.plane.runs = {RUN_ID: a_run(RUN_ID)}
    return canned


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("isthmus run sh", ["show"]),
        ("isthmus run show ", ["latest", "0f6b3c1e"]),
        ("isthmus run launch ", ["etl", "ml", "nightly", "hourly", "train"]),
        ("isthmus run launch etl n", ["nightly"]),
        ("isthmus run launch ml ", ["train"]),
        ("isthmus run launch etl --assets raw/", ["raw/trips", "raw/stations"]),
        ("isthmus run launch etl --assets raw/trips,rep", ["raw/trips,report"]),
        ("isthmus run list --state f", ["failed"]),
        ("isthmus location show e", ["etl"]),
        ("isthmus agent drain ", ["alpha"]),
    ],
)
async def test_names_are_completed(names: CannedServer, isthmus: Isthmus, line: str, words: list[str]) -> None:
    assert await completed(isthmus, line) == words


async def test_without_a_control_plane_nothing_is_completed_and_nothing_said(isthmus: Isthmus) -> None:
    begun = time.monotonic()
    assert await completed(isthmus, "isthmus run show ", ISTHMUS_SERVER="127.0.0.1:1") == []
    assert time.monotonic() - begun < 10


async def test_each_shell_is_given_its_script(isthmus: Isthmus) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_ISTHMUS_COMPLETE" in (await isthmus("completion", shell)).out
