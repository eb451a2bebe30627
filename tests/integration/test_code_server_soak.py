"""Runs, with a reload between them, leave nothing in a code server: the short form of `soak.code_server_runs`."""

from pathlib import Path

from soak.code_server_runs import soak


async def test_runs_and_reloads_leave_descriptors_memory_and_folders_flat(tmp_path: Path, broker_url: str) -> None:
    lives = await soak(tmp_path, broker_url, runs=32, reloads=1, batch=8)
    assert [samples[-1].runs for samples in lives] == [16, 32]
