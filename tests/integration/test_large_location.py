"""A location of 2,000 assets: it loads, and what it defines travels once."""

from pathlib import Path
from textwrap import dedent

import pytest
from integration.agent_stand import agent_stand
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING

pytestmark = pytest.mark.timeout(180)

_ASSETS = 2000
#: RabbitMQ 4 takes no larger message.
_BROKER_LIMIT = 16 * 1024**2

PROJECT = dedent(
    f"""
    import dagster as dg

    def make(number):
        @dg.asset(
            name=f"asset_{{number:04d}}",
            group_name=f"group_{{number % 20}}",
            deps=[f"asset_{{number - 1:04d}}"] if number % 10 else [],
            description=f"Number {{number}} of a large project.",
        )
        def one():
            return number

        return one

    defs = dg.Definitions(assets=[make(number) for number in range({_ASSETS})])
    """
)


async def test_a_large_location_loads_and_its_snapshot_travels_once(broker_url: str, tmp_path: Path) -> None:
    async with agent_stand(url=broker_url, folder=tmp_path) as it, it.agent():
        file = tmp_path / "large.py"
        file.write_text(PROJECT)
        spec = it.location()
        spec.source.python_file = str(file)
        spec.load_timeout_s = 150
        await it.sync(spec)
        first = await it.report(LOCATION_PHASE_SERVING)
        assert len(first.snapshot.assets) == _ASSETS
        # Before it is compressed.
        assert first.ByteSize() < _BROKER_LIMIT / 4
        spec.generation = 2
        spec.known_snapshot_hash = first.snapshot_hash
        await it.sync(spec)
        second = await it.report(LOCATION_PHASE_SERVING, generation=2)
        assert second.snapshot_hash == first.snapshot_hash
        assert sum(report.HasField("snapshot") for report in it.reports()) == 1
