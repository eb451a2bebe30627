"""`isthmus dev` as a person runs it: a private broker, every service, a real Dagster project, and its end."""

import json
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest
from contract.cli.dev_kit import DEFINITIONS, isthmus, name_of, running_dev
from isthmus_dev.descendant import descendants

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "greetings"
    folder.mkdir()
    (folder / "definitions.py").write_text(DEFINITIONS)
    return folder


async def test_a_project_runs_and_everything_ends_and_comes_back(project: Path) -> None:
    async with running_dev(project) as dev:
        screen = await dev.read_until("Ctrl-C stops everything")
        assert "greetings: 1 job" in screen
        assert "isthmus run launch greeting --watch" in screen

        code, out, err = await isthmus(project, "run", "launch", "greeting", "--watch")
        assert (code, "SUCCEEDED" in out) == (0, True), out + err
        run_id = err.split()[1]
        await dev.read_until(f"{run_id}  greeting  SUCCEEDED")
        logged = (await isthmus(project, "run", "logs", run_id))[1]
        assert "hello from the run" in logged
        # Integrations prepare their projects while they are developed: dbt's writes its manifest.
        assert "developed: 1" in logged

        code, _, err = await isthmus(project, "dev", "-f", "definitions.py")
        assert (code, f"process {dev.process.pid}" in err) == (1, True), err

        assert await dev.end() == 0
        assert not (project / ".isthmus" / "server.json").exists()

    async with running_dev(project) as dev:
        await dev.read_until("Ctrl-C stops everything")
        _, out, _ = await isthmus(project, "run", "show", run_id, "-o", "json")
        assert json.loads(out)["state"] == "SUCCEEDED"
        assert (await isthmus(project, "run", "launch", "greeting", "--watch"))[0] == 0
        # The second signal does not wait for anything.
        dev.process.send_signal(signal.SIGTERM)
        await dev.read_until("Stopping")
        assert await dev.end(signal.SIGTERM) in (0, 130)


async def test_pages_are_served_to_whom_the_link_signs_in(project: Path) -> None:
    async with running_dev(project, "--console-port", "0") as dev:
        link = (await dev.read_until("Its pages: http://")).rpartition("Its pages: ")[2].strip()
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as browser, browser.get(link) as page:
            assert page.status == 200
            assert "Overview" in await page.text()
            assert page.url.path == "/"
        async with aiohttp.ClientSession() as other, other.get(link, allow_redirects=False) as page:
            assert page.status != 303
        code, out, err = await isthmus(project, "run", "launch", "greeting", "--watch")
        assert (code, "SUCCEEDED" in out) == (0, True), out + err
        assert await dev.end() == 0


async def test_a_port_of_the_pages_that_is_taken_is_told_before_anything_starts(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = await isthmus(project, "dev", "-f", "definitions.py", "--console-port", port)
    assert (code, out) == (1, "")
    assert f"Port {port} is taken" in err
    assert "--console-port" in err


async def test_definitions_that_do_not_load_are_shown_mended_and_reloaded(project: Path) -> None:
    (project / "definitions.py").write_text("import a_module_that_is_not_there\n")
    async with running_dev(project, "--no-watch") as dev:
        screen = await dev.read_until("Mend it, then: isthmus location reload greetings")
        assert "No module named 'a_module_that_is_not_there'" in screen
        (project / "definitions.py").write_text(DEFINITIONS)
        code, out, err = await isthmus(project, "location", "reload", "greetings")
        assert (code, "serves generation 2" in out) == (0, True), out + err
        await dev.read_until("location greetings: SERVING, generation 2, 1 job")
        assert (await isthmus(project, "run", "launch", "greeting", "--watch"))[0] == 0


async def test_a_broker_that_dies_ends_it_with_the_reason(project: Path) -> None:
    async with running_dev(project) as dev:
        await dev.read_until("Ctrl-C stops everything")
        brokers = [pid for pid in descendants(dev.process.pid) if name_of(pid) == "beam.smp"]
        for pid in brokers:
            os.kill(pid, signal.SIGKILL)
        assert brokers
        await dev.read_until("Error: The broker died: RabbitMQ ended by itself", within=30)
        assert await dev.process.wait() == 1


async def test_a_broker_of_ones_own_that_is_not_there_is_told(project: Path) -> None:
    async with running_dev(project, "--broker-url", "amqp://somebody:secret@127.0.0.1:1/") as dev:
        screen = await dev.read_until("Check --broker-url")
        assert "amqp://somebody@127.0.0.1:1/ does not let us in" in screen
        assert "secret" not in screen
        assert await dev.process.wait() == 1
