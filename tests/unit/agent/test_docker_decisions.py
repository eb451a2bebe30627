"""What the docker host decides without an engine."""

import base64
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from isthmus_agent.desired.container import ContainerSpec, Limits, Mount
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.hosts.docker import labels
from isthmus_agent.hosts.docker.body import Draft, effective_limits, limits_body, networks_of
from isthmus_agent.hosts.docker.credentials import auth_header, registry_of
from isthmus_agent.hosts.docker.ending import Fate, Remains, exit_of, fate_of
from isthmus_agent.hosts.docker.host import can_change
from isthmus_agent.hosts.docker.images import is_final
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.docker.places import Places, container_in, mount_of
from isthmus_agent.hosts.docker.progress import PullProgress
from isthmus_agent.hosts.docker.replies import ContainerLimits, ContainerMount, Info, PullStep
from isthmus_agent.hosts.docker.user import Users
from isthmus_agent.hosts.errors import DataFolderUnfitError, RegistryConfigError
from isthmus_agent.hosts.host import Server, ServerSpec

SERVER = Server("sales-g1-abc", "sales", 1, "life", "unix:/data/servers/1/io/sock", slot="s1")
DATA = Path("/var/lib/isthmus")
OWNER = labels.Owner("prod", "edge", DATA)


def spec(container: ContainerSpec = ContainerSpec(image="sales"), **env: str) -> ServerSpec:  # noqa: B008 (frozen)
    source = CodeSource(TargetKind.MODULE, "definitions", working_directory="/project")
    runs = DATA / "runs" / "sales"
    return ServerSpec("prod", "edge", "sales", 1, source, runs, "amqp://b/", env=env, container=container, slot="s1")


# ------------------------------------------------------------------------------------------------------- how they end


@pytest.mark.parametrize(
    ("code", "was_memory_short", "told"),
    [
        (0, False, (0, None, False)),
        # A child ran out of memory and was coped with.
        (0, True, (0, None, False)),
        (3, False, (3, None, False)),
        (1, True, (1, None, True)),
        (137, False, (None, signal.SIGKILL, False)),
        (137, True, (None, signal.SIGKILL, True)),
        (143, True, (None, signal.SIGTERM, False)),
        (139, False, (None, signal.SIGSEGV, False)),
        (128, False, (128, None, False)),
        (255, False, (255, None, False)),
        (None, True, (None, None, False)),
    ],
)
def test_ends(*, code: int | None, was_memory_short: bool, told: tuple[int | None, int | None, bool]) -> None:
    ending = exit_of(SERVER, code=code, was_memory_short=was_memory_short)
    assert (ending.exit_code, ending.signal, ending.is_out_of_memory) == told


@pytest.mark.parametrize(
    ("remains", "fate"),
    [
        (Remains(has_run=True, exit_code=0, age_s=0), Fate.REMOVE),
        (Remains(has_run=True, exit_code=3, age_s=3599), Fate.KEEP),
        (Remains(has_run=True, exit_code=3, age_s=3600), Fate.REMOVE),
        (Remains(has_run=False, exit_code=0, age_s=59), Fate.KEEP),
        (Remains(has_run=False, exit_code=127, age_s=60), Fate.REMOVE),
    ],
)
def test_fates(remains: Remains, fate: Fate) -> None:
    assert fate_of(remains, failed_kept_s=3600, orphan_grace_s=60) is fate


# --------------------------------------------------------------------------------------------------- who and whose they are


def test_labels_tell_the_server_again() -> None:
    words = labels.labels_of(spec(), owner=OWNER, incarnation="life", address="unix:/x")
    server = labels.server_of(words)
    assert server is not None
    assert (server.location, server.generation, server.slot, server.incarnation) == ("sales", 1, "s1", "life")
    assert server.is_dedicated
    assert labels.is_owned(words, owner=OWNER)
    for other in (
        labels.Owner("staging", "edge", DATA),
        labels.Owner("prod", "west", DATA),
        labels.Owner("prod", "edge", Path("/elsewhere")),
    ):
        assert not labels.is_owned(words, owner=other)
        assert other.container_name(server.name) != OWNER.container_name(server.name)


def test_labels_that_are_not_whole_tell_nothing() -> None:
    words = dict(labels.labels_of(spec(), owner=OWNER, incarnation="life", address="unix:/x"))
    assert labels.server_of({**words, labels.GENERATION: "first"}) is None
    del words[labels.LOCATION]
    assert labels.server_of(words) is None


ROOT, PERSON = Users(0, 0), Users(1000, 1000)
ROOTLESS = Users(1000, 1000, is_rootless=True, are_mapped=True)


@pytest.mark.parametrize(
    ("wanted", "users", "user"),
    [
        ("", ROOT, ""),
        ("", PERSON, "1000:1000"),
        ("", ROOTLESS, "0:0"),
        ("55", ROOT, "55"),
        ("55:66", PERSON, "55:66"),
        ("55:66", ROOTLESS, "55:66"),
        ("dagster", ROOT, "dagster"),
    ],
)
def test_users(wanted: str, users: Users, user: str) -> None:
    assert users.user_for(wanted) == user


@pytest.mark.parametrize(
    ("user", "users", "reader"),
    [
        ("", ROOT, (0, 0)),
        ("55", ROOT, (55, 55)),
        ("55:66", ROOT, (55, 66)),
        ("dagster", ROOT, None),
        ("55:staff", ROOT, None),
        ("1000:1000", PERSON, (1000, 1000)),
        ("55:66", PERSON, None),
        ("0:0", ROOTLESS, None),
        ("55", Users(0, 0, are_mapped=True), None),
    ],
)
def test_readers(user: str, users: Users, reader: tuple[int, int] | None) -> None:
    assert users.reader_for(user) == reader


@pytest.mark.parametrize(
    ("options", "is_rootless", "are_mapped"),
    [
        (None, False, False),
        (["name=seccomp,profile=default"], False, False),
        (["name=seccomp,profile=default", "name=rootless"], True, True),
        (["name=userns"], False, True),
    ],
)
def test_engines_say_what_they_make_of_users(*, options: object, is_rootless: bool, are_mapped: bool) -> None:
    info = Info.model_validate({"SecurityOptions": options})
    assert (info.is_rootless, info.has_users_of_its_own) == (is_rootless, are_mapped)


# ------------------------------------------------------------------------------------------------- what they are made from


def body(container: ContainerSpec, *, options: DockerOptions | None = None) -> dict[str, object]:
    places = Places(DATA, Path("/volumes/isthmus/_data"))
    wanted = spec(container, REGION="eu")
    words = labels.labels_of(wanted, owner=OWNER, incarnation="life", address="unix:/x")
    draft = Draft(wanted, server=SERVER, places=places.of(SERVER.name, location="sales"), labels=words, user="55")
    made: dict[str, object] = json.loads(json.dumps(draft.body(options=options or DockerOptions(), places=places)))
    return made


def host_config(container: ContainerSpec, *, options: DockerOptions | None = None) -> dict[str, object]:
    config = body(container, options=options)["HostConfig"]
    assert isinstance(config, dict)
    return config


def test_a_container_is_given_its_own_folders_and_nothing_of_the_agents_environment() -> None:
    made = body(ContainerSpec(image="sales:1"))
    assert made["Env"] == ["HOME=/tmp", "REGION=eu"]
    assert made["Entrypoint"] == ["isthmus-code-server", "serve", "--config", "/isthmus/server/config.json"]
    assert made["User"] == "55"
    assert made["WorkingDir"] == "/project"
    mounts = host_config(ContainerSpec(image="sales:1"))["Mounts"]
    assert isinstance(mounts, list)
    assert [(mount["Source"].removeprefix("/volumes/isthmus/_data/"), mount["Target"]) for mount in mounts] == [
        ("homes/sales", "/isthmus"),
        (mounts[1]["Source"].removeprefix("/volumes/isthmus/_data/"), "/isthmus/server"),
        ("runs/sales", "/isthmus/runs"),
    ]
    assert mounts[1]["Source"].startswith("/volumes/isthmus/_data/servers/")


def test_a_location_may_have_it_otherwise() -> None:
    container = ContainerSpec(
        image="sales:1",
        command=("python", "-m", "mine"),
        mounts=(Mount("cache", "/cache"), Mount("/srv/data", "/data", is_read_only=True)),
        tmpfs=("/scratch",),
        is_root_writable=True,
        capabilities=("NET_RAW",),
        stop_timeout_s=1.5,
    )
    made, config = body(container), host_config(container)
    assert made["Entrypoint"] == ["python", "-m", "mine", "serve", "--config", "/isthmus/server/config.json"]
    assert made["Env"] == ["REGION=eu"]
    assert made["StopTimeout"] == 2
    assert config["Mounts"][3:] == [  # type: ignore[index]
        {"Type": "volume", "Source": "cache", "Target": "/cache", "ReadOnly": False},
        {"Type": "bind", "Source": "/srv/data", "Target": "/data", "ReadOnly": True},
    ]
    assert config["Tmpfs"] == {"/scratch": "rw,nosuid,nodev,exec,mode=1777"}
    assert config["ReadonlyRootfs"] is False
    assert (config["CapDrop"], config["CapAdd"]) == (["ALL"], ["NET_RAW"])


def test_networks_are_the_locations_or_the_agents() -> None:
    options = DockerOptions(network="isthmus")
    assert networks_of(spec(), options=DockerOptions()) == ()
    assert networks_of(spec(), options=options) == ("isthmus",)
    own = ContainerSpec(image="sales", networks=("warehouse", "isthmus"))
    assert networks_of(spec(own), options=options) == ("warehouse", "isthmus")
    assert host_config(own, options=options)["NetworkMode"] == "warehouse"
    assert host_config(ContainerSpec(image="sales"))["NetworkMode"] == "default"


def test_limits_never_come_with_swap() -> None:
    limits = effective_limits(Limits(cpus=1.5), defaults=Limits(1000, 4.0, 50))
    assert limits == Limits(1000, 1.5, 50)
    assert limits_body(limits) == {
        "Memory": 1000,
        "MemorySwap": 1000,
        "NanoCpus": 1_500_000_000,
        "PidsLimit": 50,
    }
    assert limits_body(Limits()) == {}


@pytest.mark.parametrize(
    ("now", "wanted", "can"),
    [
        ({"Memory": 1000}, Limits(memory_bytes=2000), True),
        ({"Memory": 1000}, Limits(), False),
        ({}, Limits(memory_bytes=2000, cpus=1.0, pids=5), True),
        ({"PidsLimit": None}, Limits(), True),
        ({"PidsLimit": -1}, Limits(), True),
        ({"PidsLimit": 5}, Limits(), False),
        ({"NanoCpus": 5}, Limits(), False),
    ],
)
def test_no_limit_is_taken_off(*, now: dict[str, object], wanted: Limits, can: bool) -> None:
    assert can_change(ContainerLimits.model_validate(now), wanted) is can


# ----------------------------------------------------------------------------------------------------------- where files lie


def test_the_nearest_mount_holds_a_path() -> None:
    mounts = tuple(
        ContainerMount.model_validate({"Destination": destination, "Source": source})
        for destination, source in (("/var", "/a"), ("/var/lib", "/b"), ("/var/library", "/c"), ("/tmp", ""))
    )
    found = mount_of(Path("/var/lib/isthmus"), mounts=mounts)
    assert found is not None
    assert found.source == "/b"
    assert mount_of(Path("/srv"), mounts=mounts) is None
    assert mount_of(Path("/tmp/x"), mounts=mounts) is None


def test_a_process_knows_its_container_by_its_mounts() -> None:
    name = "9acef17b" * 8
    line = f"111 90 254:0 /docker/containers/{name}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
    assert container_in(f"1 1 0:1 / / rw - overlay overlay rw\n{line}") == name
    assert container_in("1 1 0:1 / / rw - overlay overlay rw\n") == ""


def test_a_data_folder_that_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFolderUnfitError, match="too long"):
        Places(tmp_path / ("x" * 100), tmp_path).prepare()


@pytest.mark.parametrize(
    "source",
    ["/", "/volumes", "/volumes/isthmus/_data", "//volumes/isthmus/_data/servers", "/x/../volumes", "own-volume"],
)
def test_no_container_is_given_the_agents_own_folder(source: str) -> None:
    places = Places(DATA, Path("/volumes/isthmus/_data"), volume="own-volume")
    wanted = spec(ContainerSpec(image="sales", mounts=(Mount(source, "/data"),)))
    with pytest.raises(DataFolderUnfitError, match="no container may mount it"):
        places.check(wanted, places=places.of("sales", location="sales"))


def test_other_mounts_are_no_concern(tmp_path: Path) -> None:
    places = Places(DATA, Path("/volumes/isthmus/_data"), volume="own-volume")
    wanted = spec(ContainerSpec(image="sales", mounts=(Mount("/volumes/other/_data", "/data"), Mount("own", "/own"))))
    places.check(wanted, places=places.of("sales", location="sales"))
    with pytest.raises(DataFolderUnfitError, match="looked for"):
        places.check(replace(wanted, runs_dir=tmp_path), places=places.of("sales", location="sales"))


# ------------------------------------------------------------------------------------------------------------------ pulling


def test_progress_adds_up_layers() -> None:
    progress = PullProgress()
    assert str(progress) == ""
    for step in (
        {"status": "Pulling from sales", "id": "1"},
        {"status": "Already exists", "id": "a"},
        {"status": "Pulling fs layer", "id": "b"},
        {"status": "Pulling fs layer", "id": "c"},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 20_000_000, "total": 100_000_000}},
        {"status": "Downloading", "id": "c", "progressDetail": {"current": 1_000_000, "total": 10_000_000}},
        {"status": "Download complete", "id": "c"},
        {"status": "Extracting", "id": "c", "progressDetail": {"current": 1, "total": 10_000_000}},
        {"status": "Digest: sha256:0"},
    ):
        progress.add(PullStep.model_validate(step))
    assert str(progress) == "layers 1 of 3, 30 of 110 MB"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("sales", "https://index.docker.io/v1/"),
        ("team/sales:1", "https://index.docker.io/v1/"),
        ("docker.io/team/sales", "https://index.docker.io/v1/"),
        ("localhost/sales", "localhost"),
        ("localhost:5000/sales", "localhost:5000"),
        ("registry.example/team/sales@sha256:0", "registry.example"),
    ],
)
def test_registries(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def header(image: str, *, path: Path) -> dict[str, str]:
    text = auth_header(image, path=path)
    facts: dict[str, str] = json.loads(base64.urlsafe_b64decode(text)) if text else {}
    return facts


def test_credentials_in_each_of_their_forms(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "auths": {
                    "https://index.docker.io/v1/": {"auth": base64.b64encode(b"hub:pass:word").decode()},
                    "registry.example": {"username": "sales", "password": "s3cret"},
                    "https://tokens.example": {"identitytoken": "t0ken"},
                },
                "credsStore": "desktop",
            }
        )
    )
    assert header("sales", path=path)["password"] == "pass:word"
    assert header("registry.example/sales", path=path)["username"] == "sales"
    assert header("tokens.example/sales", path=path)["identitytoken"] == "t0ken"
    assert header("other.example/sales", path=path) == {}
    assert auth_header("sales", path=None) == ""


@pytest.mark.parametrize(
    "text",
    ["{", '{"auths": 3}', '{"auths": {"r.example": {"auth": "!"}}}', '{"auths": {"r.example": {"password": 7}}}'],
)
def test_credentials_that_make_no_sense_are_named_and_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(RegistryConfigError, match=r"config\.json"):
        auth_header("r.example/sales", path=path)
    with pytest.raises(RegistryConfigError):
        auth_header("r.example/sales", path=tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("words", "final"),
    [
        ("manifest for sales:9 not found: manifest unknown", True),
        ("pull access denied for sales, repository does not exist or may require 'docker login'", True),
        ("invalid reference format", True),
        ("unauthorized: authentication required", False),
        ("dial tcp 10.0.0.1:443: i/o timeout", False),
        ("received unexpected HTTP status: 503 Service Unavailable", False),
    ],
)
def test_what_is_worth_another_try(*, words: str, final: bool) -> None:
    assert is_final(words) is final
