"""`isthmus dev` and the other users of the machine: they are not let in, and they read nothing of what it keeps."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from isthmus_client.announcement import Announcement
from support.eventually import patiently

pytestmark = pytest.mark.timeout(240)

DEFINITIONS = """
import dagster as dg

@dg.op
def greet():
    print("hello from the run")

@dg.job(executor_def=dg.in_process_executor)
def greeting():
    greet()

defs = dg.Definitions(jobs=[greeting])
"""
#: Makes a process that has imported what it needs another user's: that of the account that owns nothing.
BECOME = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.environ["HOME"] = "/nonexistent"; os.environ.pop("XDG_STATE_HOME", None)
"""
#: Tries to open everything below a folder, and prints what it could.
LOOK = """
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        print(path)
for path in sys.argv[2:]:
    if os.access(path, os.R_OK):
        print(path)
"""
IMPORTED = """
import asyncio, encodings.idna, google.rpc.error_details_pb2, grpc_status.rpc_status
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import UnauthenticatedError
"""
CALL = """
async def main():
    async with ControlPlaneClient(sys.argv[1], connect_timeout_s=60) as client:
        try:
            print(await client.list_agents())
        except UnauthenticatedError as error:
            print(error, error.remedy)

asyncio.run(main())
"""


@pytest.fixture
def project() -> Iterator[Path]:
    """A project in a folder that everybody may enter, as on a shared machine."""
    folder = Path(tempfile.mkdtemp(prefix="isthmus-shared-"))
    folder.chmod(0o755)
    (folder / "definitions.py").write_text(DEFINITIONS)
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def running_dev(folder: Path) -> AsyncIterator[str]:
    """Run it with the umask that people have; yields its address once it is ready."""
    command = [sys.executable, "-m", "isthmus_cli", "dev", "-f", "definitions.py", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'umask 022; exec "$@"', "sh", *command),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")},
    )
    assert process.stdout is not None
    seen = ""
    try:
        async with patiently(90):
            while "Ctrl-C stops everything" not in seen:
                line = (await process.stdout.readline()).decode()
                assert line, seen
                seen += line
        found = Announcement.read(folder / ".isthmus/server.json")
        assert found is not None
        yield found.address
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def run(*words: str, folder: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *words, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_is_not_let_in_and_reads_nothing(project: Path) -> None:
    python, isthmus = (sys.executable, "-c"), (sys.executable, "-m", "isthmus_cli")
    async with running_dev(project) as address:
        code, out = await run(*isthmus, "run", "launch", "greeting", "--watch", folder=project)
        assert code == 0, out
        # By its address, too, and from anywhere: the same user needs nothing more.
        code, out = await run(*isthmus, "--server", address, "run", "list", folder=Path("/"))
        assert (code, "greeting" in out) == (0, True), out

        for folder in (project, Path("/")):
            code, out = await run(*python, IMPORTED + BECOME + CALL, address, folder=folder)
            assert code == 0, out
            assert "asks for a token" in out
            assert "ISTHMUS_API_TOKEN" in out

        state = project / ".isthmus"
        known = [str(path) for path in state.rglob("*") if path.is_file()]
        assert {"isthmus.db", "isthmus.db-wal", "api-token", "isthmus.log", "rabbitmq.conf", "stdout"} <= {
            Path(path).name for path in known
        }
        assert await run(*python, BECOME + LOOK, str(state), *known, folder=Path("/")) == (0, "")
        _, seen = await run(*python, "import os, sys" + LOOK, str(state), *known, folder=Path("/"))
        assert len(seen.splitlines()) >= len(known), "who may look sees it"


async def test_a_data_folder_of_an_older_release_is_closed(project: Path) -> None:
    state = project / ".isthmus"
    state.mkdir(mode=0o755)
    async with running_dev(project):
        assert state.stat().st_mode & 0o077 == 0
        assert (state / "isthmus.db").stat().st_mode & 0o077 == 0
