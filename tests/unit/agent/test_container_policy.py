"""What the agent's owner allows containers."""

from pathlib import Path

import pytest
from isthmus_agent.desired.container import ContainerSpec, Limits, Mount
from isthmus_agent.desired.location import Isolation, LocationSpec
from isthmus_agent.desired.source import CodeSource, TargetKind
from isthmus_agent.policy.containers import default_limits
from isthmus_agent.policy.judge import Policy, judge, judge_run, load_policy
from isthmus_agent.policy.verdict import Refused
from pydantic import ByteSize


def refused(container: ContainerSpec, *, policy: Policy, isolation: Isolation | None = None) -> str | None:
    source = CodeSource(TargetKind.MODULE, "definitions")
    spec = LocationSpec("sales", 1, source, container=container, isolation=isolation)
    verdict = judge(spec, policy=policy)
    return verdict.rule if isinstance(verdict, Refused) else None


def mounting(source: str) -> ContainerSpec:
    return ContainerSpec(image="sales", mounts=(Mount(source, "/data"),))


NO_FILE = load_policy(None)


@pytest.mark.parametrize(
    ("container", "rule"),
    [
        (ContainerSpec(), None),
        (ContainerSpec(image="anything", user="0", networks=("warehouse",), is_root_writable=True), None),
        (ContainerSpec(image="sales", limits=Limits(1 << 50, 99.0, 1 << 20)), None),
        (ContainerSpec(image="sales", is_privileged=True), "privileged"),
        (ContainerSpec(image="sales", networks=("host",)), "networks"),
        (ContainerSpec(image="sales", networks=("warehouse", "container:other")), "networks"),
        (ContainerSpec(image="sales", networks=("none",)), None),
        (ContainerSpec(image="sales", capabilities=("CHOWN", "CAP_SETUID", "net_raw")), None),
        (ContainerSpec(image="sales", capabilities=("SYS_ADMIN",)), "capabilities"),
        (ContainerSpec(image="sales", capabilities=("ALL",)), "capabilities"),
        (mounting("cache"), None),
        (mounting("/data"), "mounts"),
        (mounting("/"), "mounts"),
        (mounting("/var/run/docker.sock"), "mounts"),
        (mounting("../etc"), "mounts"),
        (mounting("cache/../../etc"), "mounts"),
        (mounting("./etc"), "mounts"),
        (mounting(""), "mounts"),
    ],
)
def test_without_a_file_the_machine_is_not_given_away(container: ContainerSpec, rule: str | None) -> None:
    assert refused(container, policy=NO_FILE) == rule


MOUNTS = Policy(mounts=("/srv/data", "/srv/models/*", "cache-*", "//srv/twice/"))


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("/srv/data", None),
        ("/srv/data/", None),
        ("//srv//data", None),
        ("/srv/./data", None),
        ("/srv/twice", None),
        ("/srv/other/../data", None),
        # A link in there may lead anywhere.
        ("/srv/data/sales", "mounts"),
        ("/srv/models/sales", None),
        ("/srv/models/sales/v1", None),
        ("/srv/models", "mounts"),
        ("/srv/models/../secrets", "mounts"),
        ("/srv/models/..", "mounts"),
        ("/srv/data/../../etc", "mounts"),
        ("/srv/database", "mounts"),
        ("/srv", "mounts"),
        ("/etc", "mounts"),
        ("cache-sales", None),
        ("other", "mounts"),
        ("cache-../../etc", "mounts"),
    ],
)
def test_only_listed_mounts_are_given(source: str, rule: str | None) -> None:
    assert refused(mounting(source), policy=MOUNTS) == rule


@pytest.mark.parametrize(
    "source",
    [
        "/",
        "//",
        "/..",
        "/run",
        "/var",
        "/var/run",
        "/var/run/",
        "/run/docker.sock",
        "/var/run/docker.sock",
        "//var/run/docker.sock",
        "/var/run/../run/docker.sock",
        "/somewhere/else/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/containerd",
    ],
)
@pytest.mark.parametrize("listed", ["/", "/*", "/var/run/docker.sock", "*", "/run", "/var/*"])
def test_no_list_allows_the_engines_socket(source: str, listed: str) -> None:
    assert refused(mounting(source), policy=Policy(mounts=(listed,))) == "mounts"


def test_a_wildcard_for_volumes_means_no_folder() -> None:
    assert refused(mounting("/srv/data"), policy=Policy(mounts=("*",))) == "mounts"
    assert refused(mounting("cache"), policy=Policy(mounts=("/*",))) == "mounts"


@pytest.mark.parametrize(
    ("policy", "container", "rule"),
    [
        (Policy(images=("registry.example/team/*",)), ContainerSpec(image="registry.example/team/sales:7"), None),
        (Policy(images=("registry.example/team/*",)), ContainerSpec(image="registry.example/other/sales:7"), "images"),
        (Policy(images=("sales:*",)), ContainerSpec(image="evil.example/sales:7"), "images"),
        (Policy(images=("sales:*",)), ContainerSpec(image="sha256:" + "0" * 64), "images"),
        (Policy(images=()), ContainerSpec(image="sales"), "images"),
        (Policy(images=()), ContainerSpec(), None),
        (Policy(networks=("warehouse",)), ContainerSpec(networks=("warehouse",)), None),
        (Policy(networks=("warehouse",)), ContainerSpec(networks=("warehouse", "bridge")), "networks"),
        (Policy(networks=("*",)), ContainerSpec(networks=("host",)), "networks"),
        (Policy(networks=("host",)), ContainerSpec(networks=("host",)), None),
        (Policy(networks=("container:*",)), ContainerSpec(networks=("container:other",)), "networks"),
        (Policy(capabilities=("SYS_PTRACE",)), ContainerSpec(capabilities=("CAP_SYS_PTRACE",)), None),
        (Policy(capabilities=("SYS_PTRACE",)), ContainerSpec(capabilities=("CHOWN",)), "capabilities"),
        (Policy(capabilities=()), ContainerSpec(capabilities=("CHOWN",)), "capabilities"),
        (Policy(users=("1000:*",)), ContainerSpec(image="sales", user="1000:1000"), None),
        (Policy(users=("1000:*",)), ContainerSpec(image="sales", user="0"), "users"),
        (Policy(users=("1000:*",)), ContainerSpec(image="sales"), "users"),
        (Policy(users=("1000:*", "")), ContainerSpec(image="sales"), None),
        (Policy(users=("1000:*",)), ContainerSpec(), None),
        (Policy(privileged=True), ContainerSpec(is_privileged=True), None),
        (Policy(max_memory=ByteSize(1000)), ContainerSpec(limits=Limits(memory_bytes=1000)), None),
        (Policy(max_memory=ByteSize(1000)), ContainerSpec(limits=Limits(memory_bytes=1001)), "max_memory"),
        (Policy(max_memory=ByteSize(1000)), ContainerSpec(), None),
        (Policy(max_cpus=1.5), ContainerSpec(limits=Limits(cpus=1.6)), "max_cpus"),
        (Policy(max_pids=100), ContainerSpec(limits=Limits(pids=101)), "max_pids"),
    ],
)
def test_rules(policy: Policy, container: ContainerSpec, rule: str | None) -> None:
    assert refused(container, policy=policy) == rule


def test_isolation_is_a_rule_for_locations_and_runs() -> None:
    policy = Policy(isolation=(Isolation.DEDICATED,), max_pids=100)
    assert refused(ContainerSpec(), policy=policy, isolation=Isolation.SHARED) == "isolation"
    assert refused(ContainerSpec(), policy=policy, isolation=Isolation.DEDICATED) is None
    assert refused(ContainerSpec(), policy=policy) is None
    shared = judge_run(policy, limits=Limits(), isolation=Isolation.SHARED)
    greedy = judge_run(policy, limits=Limits(pids=101), isolation=Isolation.DEDICATED)
    assert isinstance(shared, Refused)
    assert shared.rule == "isolation"
    assert isinstance(greedy, Refused)
    assert greedy.rule == "max_pids"
    assert not isinstance(judge_run(policy, limits=Limits(), isolation=Isolation.DEDICATED), Refused)


@pytest.mark.parametrize(
    ("default", "most", "given"),
    [(0, None, 0), (500, None, 500), (0, 1000, 1000), (500, 1000, 500), (2000, 1000, 1000)],
)
def test_who_asks_for_nothing_gets_no_more_than_the_most(default: int, most: int | None, given: int) -> None:
    policy = Policy(max_memory=None if most is None else ByteSize(most), max_cpus=most, max_pids=most)
    assert default_limits(Limits(default, default, default), policy=policy) == Limits(given, given, given)


def test_a_file_says_it_all_in_words(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        'images = ["sales:*"]\nmounts = ["/srv/data"]\nmax_memory = "2GiB"\nmax_cpus = 1.5\n'
        'isolation = ["dedicated"]\nprivileged = false\n'
    )
    policy = load_policy(path)
    assert policy.max_memory == 2 * 1024**3
    assert policy.isolation == (Isolation.DEDICATED,)
