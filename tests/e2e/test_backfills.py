"""A backfill over two locations: whatever dies on the way, each partition is made once, and what failed is made by a retry."""

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from e2e.conftest import PROJECT
from isthmus.v1.control_plane_pb2 import (
    BACKFILL_STATE_CANCELED,
    BACKFILL_STATE_FAILED,
    BACKFILL_STATE_SUCCEEDED,
    Backfill,
    CreateBackfillRequest,
    ListRunsQuery,
    RunState,
)
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_client.errors import UnavailableError
from support.eventually import eventually
from support.system import Operator, System

pytestmark = pytest.mark.timeout(300)

UNFINISHED = [
    state
    for state in RunState.values()
    if RunState.Name(state).removeprefix("RUN_STATE_") in {"QUEUED", "DISPATCHED", "STARTING", "RUNNING", "CANCELING"}
]


@pytest.fixture
async def made_in(operator: Operator, tmp_path: Path) -> Path:
    """Both locations serve; the folder says which partitions were made."""
    for name in ("raw_days", "model_days"):
        source = CodeSource(python_file=str(PROJECT / f"{name}.py"), working_directory=str(PROJECT))
        await operator.apply(name, source, env={"MADE_IN": str(tmp_path)})
    return tmp_path


def made(folder: Path) -> Counter[str]:
    return Counter(path.name.rsplit(".", 1)[0] for path in folder.glob("*.day-*"))


async def until(operator: Operator, backfill_id: str, is_so: Callable[[Backfill], bool]) -> Backfill:
    async def there() -> Backfill | None:
        # The control plane may be starting.
        with suppress(UnavailableError):
            found = (await operator.client.get_backfill(backfill_id)).backfill
            return found if is_so(found) else None
        return None

    return await eventually(there, within=150)


async def runs_left(operator: Operator, backfill_id: str) -> int:
    query = ListRunsQuery(tags={"dagster/backfill": backfill_id}, states=UNFINISHED, page_size=500)
    return len((await operator.client.list_runs(query)).runs)


async def test_each_partition_is_made_once_whatever_dies(operator: Operator, system: System, made_in: Path) -> None:
    (made_in / "broken").touch()
    request = CreateBackfillRequest(asset_queries=["raw", "model"], is_all=True, max_runs=6)
    backfill_id = (await operator.client.create_backfill(request)).backfill_id
    await until(operator, backfill_id, lambda it: it.progress.succeeded >= 3)
    system.services["control_plane"].end(signal.SIGKILL)
    system.services["control_plane"].start()
    await until(operator, backfill_id, lambda it: it.progress.succeeded >= 12)
    system.services["agent"].end(signal.SIGKILL)
    system.services["agent"].start()
    ended = await until(operator, backfill_id, lambda it: it.HasField("ended_at"))
    assert (ended.state, ended.partitions) == (BACKFILL_STATE_FAILED, 48)
    # What needs the days that failed was never begun.
    assert (ended.progress.failed, ended.progress.canceled) == (2, 2)
    assert await runs_left(operator, backfill_id) == 0
    (made_in / "broken").unlink()
    again = await operator.client.retry_backfill(backfill_id)
    assert again.partitions == 4
    await until(operator, again.backfill_id, lambda it: it.state == BACKFILL_STATE_SUCCEEDED)
    counts = made(made_in)
    assert len(counts) == 48
    assert set(counts.values()) == {1}


async def test_a_canceled_backfill_leaves_no_run_and_its_retry_makes_the_rest(
    operator: Operator, made_in: Path
) -> None:
    request = CreateBackfillRequest(asset_queries=["raw"], is_all=True, max_runs=4)
    backfill_id = (await operator.client.create_backfill(request)).backfill_id
    await until(operator, backfill_id, lambda it: it.progress.succeeded >= 2)
    await operator.client.cancel_backfill(backfill_id)
    await until(operator, backfill_id, lambda it: it.state == BACKFILL_STATE_CANCELED)
    assert await runs_left(operator, backfill_id) == 0
    again = await operator.client.retry_backfill(backfill_id)
    await until(operator, again.backfill_id, lambda it: it.state == BACKFILL_STATE_SUCCEEDED)
    assert {name for name in made(made_in) if name.startswith("raw.")} == {f"raw.day-{it:02}" for it in range(24)}
