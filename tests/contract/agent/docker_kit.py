"""The docker host in the hands of a test: small servers in containers, which are gone afterwards."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from contract.agent.host_contract import code_source, read_note
from isthmus_agent.desired.container import ContainerSpec, Limits, Mount
from isthmus_agent.hosts.docker.host import DockerHost
from isthmus_agent.hosts.docker.labels import Owner
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.docker.places import LISTEN
from isthmus_agent.hosts.host import Host, Server, ServerSpec
from support.docker import container_ids, host_pids, remove_containers

_SMALL_SERVER = Path(__file__).with_name("small_server.py")
#: For tests that wait for nothing but what they are about.
IMPATIENT = DockerOptions(pull_tries=1, pull_retry_s=0.01)


@dataclass
class DockerKit:
    folder: Path
    image: str
    are_children_left_behind = False

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def label(self) -> str:
        return f"isthmus.data={Owner('test', 'edge', self.data_dir).data_id}"

    @property
    def command_is_missing(self) -> tuple[ServerSpec, str]:
        spec = self.spec()
        return replace(spec, container=replace(spec.container, command=("/nowhere/server",))), "/nowhere/server"

    def listens_at(self, server: Server) -> str:
        return LISTEN

    def open(self) -> AbstractAsyncContextManager[Host]:
        return self.host()

    def open_patient(self) -> AbstractAsyncContextManager[Host]:
        return self.host(replace(IMPATIENT, beginning_s=60.0))

    def host(self, options: DockerOptions | None = None) -> DockerHost:
        return DockerHost(options or IMPATIENT, data_dir=self.data_dir, deployment="test", agent="edge")

    def spec(self, *, generation: int = 1, **behaviour: str) -> ServerSpec:
        small, notes = self.folder / "small", self.folder / "notes"
        return ServerSpec(
            deployment="test",
            agent="edge",
            location="sales",
            generation=generation,
            source=code_source(),
            runs_dir=self.data_dir / "runs" / "sales",
            broker_url="amqp://guest:secret@localhost/",
            env={**behaviour, "NOTE": f"/notes/note-{generation}.json"},
            container=ContainerSpec(
                image=self.image,
                command=("python3", "/small/small_server.py"),
                mounts=(Mount(str(small), "/small", is_read_only=True), Mount(str(notes), "/notes")),
                limits=Limits(memory_bytes=256_000_000),
            ),
        )

    def with_mount(self, mount: Mount) -> ServerSpec:
        spec = self.spec()
        return replace(spec, container=replace(spec.container, mounts=(*spec.container.mounts, mount)))

    async def note(self, server: Server) -> dict[str, object]:
        facts = await read_note(self.folder / "notes" / f"note-{server.generation}.json")
        pids = host_pids(self.container(server))
        return facts | {name: pids[pid] for name in ("pid", "child") if isinstance(pid := facts[name], int)}

    def container(self, server: Server) -> str:
        (container,) = container_ids(label=f"isthmus.incarnation={server.incarnation}")
        return container


@contextmanager
def docker_kit(folder: Path, *, image: str) -> Iterator[DockerKit]:
    kit = DockerKit(folder, image)
    (folder / "small").mkdir()
    shutil.copy(_SMALL_SERVER, folder / "small")
    notes = folder / "notes"
    notes.mkdir()
    notes.chmod(0o777)
    try:
        yield kit
    finally:
        remove_containers(label=kit.label)
