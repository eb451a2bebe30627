"""`isthmus alert …` as a process against a real control plane, and a monitor that sends."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from integration.alert_world import Sink
from integration.control_plane_stand import Stand, control_plane
from isthmus_monitor.delivery import AlertSender
from isthmus_store.state import LocationPhase
from support.eventually import eventually

FILE = """\
policies:
  - name: nightly
    on: [run.failed, location.failed]
    locations: "sal*"
    wait: 0s
    to:
      - webhook: {url: "%s", secret: "${ISTHMUS_ALERT_SECRET}"}
  - name: assets
    on: [asset.failed, asset.degraded, freshness.failed, queue.deep, schedule.failed, disk.low]
    assets: raw+
    deeper_than: 9
    below_percent: 0.001
    to:
      - apprise: "json://${ISTHMUS_ALERT_SECRET}"
"""
Command = Callable[..., Awaitable[tuple[int, str, str]]]


def command(stand: Stand, folder: Path) -> Command:
    async def run(*words: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "isthmus_cli", "alert", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "ISTHMUS_SERVER": stand.address},
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_a_file_is_kept_tried_out_and_served(
    broker_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_ALERT_SECRET", "s3cret")
    async with Sink().serving() as sink, control_plane(broker_url, database_url) as stand, asyncio.TaskGroup() as tasks:
        monitor = tasks.create_task(AlertSender(stand.database, webhooks=()).run())
        alert = command(stand, tmp_path)
        (tmp_path / "alerts.yaml").write_text(FILE % f"http://127.0.0.1:{sink.port}/very/secret")
        assert await alert("sync", "alerts.yaml", "--dry-run") == (
            0,
            "+ assets added (not done: --dry-run)\n+ nightly added (not done: --dry-run)\n",
            "",
        )
        assert (await alert("list"))[2].startswith("There are no alert policies")
        assert await alert("sync", "alerts.yaml") == (0, "+ assets added\n+ nightly added\n", "")
        assert (await alert("sync", "alerts.yaml", "--prune"))[1].startswith("Nothing changes")
        code, tried, complaint = await alert("test", "nightly")
        assert (code, complaint) == (0, "")
        assert f"✓ webhook http://127.0.0.1:{sink.port}/…" in tried
        await stand.serve()
        await stand.report(phase=LocationPhase.FAILED)
        await eventually(lambda: len(sink.received) == 2, within=60)
        _, history, _ = await alert("history", "nightly", "-o", "json")
        shown = (
            (await alert("list"))[1]
            + (await alert("show", "nightly"))[1]
            + (await alert("show", "nightly", "-o", "json"))[1]
        )
        _, muted, _ = await alert("mute", "nightly", "--for", "2h", "--why", "moving", "-o", "json")
        unmuted = await alert("unmute", "nightly", "-o", "json")
        monitor.cancel()
    assert [it["kind"] for it in json.loads(history)] == ["location.failed", "test"]
    assert json.loads(sink.received[1][1])["title"] == "Location sales does not load on agent alpha"
    for word in ("very/secret", "s3cret"):
        assert word not in shown + history
    assert "${ISTHMUS_ALERT_SECRET}" in shown
    assert json.loads(muted)["mute"]["why"] == "moving"
    assert json.loads(unmuted[1])["mute"] is None


async def test_what_a_file_says_wrongly_is_told_with_its_line(
    broker_url: str, database_url: str, tmp_path: Path
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        alert = command(stand, tmp_path)
        good = FILE % "http://127.0.0.1:1/"
        (tmp_path / "key.yaml").write_text(good.replace("locations:", "location:"))
        assert (
            "line 4, policies[0].location: there is no such field; did you mean locations?"
            in (await alert("sync", "key.yaml"))[2]
        )
        (tmp_path / "kind.yaml").write_text(good.replace("run.failed", "run.faild"))
        code, _, complaint = await alert("sync", "kind.yaml")
        assert code == 2
        assert "line 3, policies[0].on[0]: unknown kind of alert 'run.faild'; did you mean 'run.failed'" in complaint
        assert (await alert("list"))[1] == ""
        assert "there is no alert policy 'nightly'" in (await alert("test", "nightly"))[2]
