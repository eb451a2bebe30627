"""`isthmus dev` on a disk that has no room: it says so, and names the disk."""

from pathlib import Path

import pytest
from contract.cli.dev_kit import DEFINITIONS, isthmus, running_dev
from isthmus_dev.rabbitmq.layout import DISK_LIMIT_BYTES
from support.small_disk import small_disk

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    return tmp_path


async def test_a_start_without_room_is_refused(project: Path) -> None:
    with small_disk(project / "small", size="12m") as disk:
        code, _, err = await isthmus(
            project, "dev", "-f", "definitions.py", "--port", "0", "--data-dir", f"{disk.path}/data"
        )
    assert code == 1
    assert f"The disk of {disk.path}/data is full: 12 MB are free, and RabbitMQ takes no message below 50 MB." in err
    assert "--data-dir" in err


async def test_a_disk_that_fills_up_and_gets_room_again_is_told_and_runs_go_on(project: Path) -> None:
    with small_disk(project / "small", size="250m") as disk:
        disk.path.chmod(0o711)
        async with running_dev(project, "--data-dir", str(disk.path / "data")) as dev:
            server = (await dev.read_until("Isthmus is ready at ")).split("ready at ")[1].split(". ")[0]
            disk.fill(free_pages=DISK_LIMIT_BYTES // 2 // 4096)
            told = await dev.read_until("everything waits until 50 MB are")
            # How full it was when that was seen: perhaps while it was still being filled.
            assert f"The disk of {disk.path}/data is full (" in told
            disk.empty()
            await dev.read_until(f"{disk.path}/data has room again")
            code, out, err = await isthmus(project, "--server", server, "run", "launch", "greeting", "--watch")
            assert (code, "SUCCEEDED" in out) == (0, True), out + err
            assert await dev.end() == 0
