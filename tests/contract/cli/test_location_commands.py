"""`isthmus location …` and `isthmus agent …` as processes against a real gRPC server."""

from pathlib import Path

import grpc
from contract.cli.conftest import Isthmus
from isthmus.v1.control_plane_pb2 import Agent, AgentState, ApplyLocationRequest, Location, SetQueueSettingsRequest
from isthmus.v1.instruction_pb2 import ISOLATION_SHARED
from isthmus.v1.telemetry_pb2 import Failure, LocationPhase
from support.canned import CannedServer, Refusal, a_location

IMPORTING, FAILED = LocationPhase.LOCATION_PHASE_IMPORTING, LocationPhase.LOCATION_PHASE_FAILED


def importing(name: str) -> Location:
    location = a_location(name)
    location.phase = IMPORTING
    return location


def broken(name: str, *, generation: int = 3) -> Location:
    location = a_location(name)
    location.generation, location.phase = generation, FAILED
    report = location.placements[0].report
    report.phase, report.generation, report.serving_generation = FAILED, generation, 2
    stack = ['  File "etl/definitions.py", line 1, in <module>\n    import nothing\n']
    report.failure.CopyFrom(
        Failure(error_class="ModuleNotFoundError", message="No module named 'nothing'", stack=stack)
    )
    return location


async def test_apply_waits_until_the_location_serves(canned: CannedServer, isthmus: Isthmus) -> None:
    # What the location was before must not be taken for the outcome.
    canned.plane.phases = [broken("etl", generation=2), importing("etl"), a_location("etl", jobs=["nightly"])]
    outcome = await isthmus(
        *("location", "apply", "--name", "etl", "--module", "etl.definitions", "-a", "defs", "-d", "/srv/etl"),
        *("--env", "A=1", "--env", "B=x=y", "--pool", "big", "--python", "/opt/py", "--load-timeout", "30", "--reload"),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out == "✓ etl serves generation 3 on local: 1 job\n"
    assert "etl: IMPORTING, generation 3 on local" in outcome.err
    request = canned.plane.asked[0]
    assert isinstance(request, ApplyLocationRequest)
    assert request.reload
    settings = request.settings
    assert (settings.pool, dict(settings.env), settings.load_timeout_s) == ("big", {"A": "1", "B": "x=y"}, 30)
    source = settings.source
    assert (source.module, source.attribute) == ("etl.definitions", "defs")
    assert (source.working_directory, source.python_executable) == ("/srv/etl", "/opt/py")


async def test_apply_describes_a_container_by_options(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus(
        *("location", "apply", "--name", "etl", "-m", "etl.definitions", "--image", "etl:1.4", "--isolation", "shared"),
        *("--standby", "2", "--replicas", "3", "--memory", "1GiB", "--cpus", "1.5", "--no-wait"),
    )
    assert outcome.code == 0, outcome.err
    request = canned.plane.asked[0]
    assert isinstance(request, ApplyLocationRequest)
    settings, limits = request.settings, request.settings.container.limits
    assert (settings.container.image, limits.memory_bytes, limits.cpus) == ("etl:1.4", 1024**3, 1.5)
    assert (settings.isolation, settings.standby, settings.replicas) == (ISOLATION_SHARED, 2, 3)


async def test_a_size_that_is_none_exits_with_2_and_says_how_to_write_one(isthmus: Isthmus) -> None:
    outcome = await isthmus("location", "apply", "--name", "etl", "-p", "etl", "--memory", "lots")
    assert outcome.code == 2
    assert "container.limits.memory: write a size as 512MB, 1GiB" in outcome.err


async def test_apply_tells_why_a_location_does_not_load(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.phases = [importing("etl"), broken("etl")]
    outcome = await isthmus("location", "apply", "--name", "etl", "-f", "etl.py")
    assert outcome.code == 1
    assert 'File "etl/definitions.py", line 1' in outcome.out
    assert "ModuleNotFoundError: No module named 'nothing'" in outcome.out
    assert "Generation 2 goes on serving" in outcome.out


async def test_apply_gives_up_waiting_and_says_why(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.phases = [importing("etl")]
    outcome = await isthmus("location", "apply", "--name", "etl", "-p", "etl", "--timeout", "0.2", "-o", "json")
    assert outcome.code == 1
    assert outcome.document[0]["phase"] == "IMPORTING"
    assert "not settled within 0.2 s" in outcome.err


async def test_a_location_that_is_removed_while_it_loads_exits_with_4(canned: CannedServer, isthmus: Isthmus) -> None:
    removed = a_location("etl")
    removed.is_removed = True
    canned.plane.phases = [importing("etl"), removed]
    outcome = await isthmus("location", "apply", "--name", "etl", "-p", "etl")
    assert outcome.code == 4
    assert outcome.err.endswith("Error: Location etl was removed meanwhile.\n")


async def test_a_location_that_nobody_takes_says_which_agent_is_missing(canned: CannedServer, isthmus: Isthmus) -> None:
    waiting = a_location("etl")
    waiting.phase = LocationPhase.LOCATION_PHASE_PENDING
    canned.plane.phases, canned.plane.locations = [waiting], {"etl": waiting}
    canned.plane.agents["edge"] = Agent(name="edge", state=AgentState.AGENT_STATE_LOST)
    outcome = await isthmus("location", "apply", "--name", "etl", "-p", "etl", "--timeout", "4")
    assert outcome.code == 1
    assert "no agent of pool default is online (edge)" in outcome.err


async def test_apply_without_waiting_returns_at_once(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("location", "apply", "--name", "etl", "-p", "etl", "--no-wait")
    assert (outcome.code, outcome.out) == (0, "etl: applied as generation 3\n")
    assert len(canned.plane.asked) == 1


async def test_a_file_applies_several_locations_side_by_side(
    canned: CannedServer, isthmus: Isthmus, tmp_path: Path
) -> None:
    (tmp_path / "locations.yaml").write_text(
        "locations:\n  - {name: etl, module: etl.definitions}\n  - {name: ml, file: ml.py, env: {A: '1'}}\n"
    )
    canned.plane.phases = [importing("ml"), a_location("etl"), broken("ml")]
    outcome = await isthmus("location", "apply", "locations.yaml", "-o", "json")
    assert outcome.code == 1, outcome.err
    assert [location["phase"] for location in outcome.document] == ["SERVING", "FAILED"]


async def test_limits_that_stand_in_a_file_of_locations_are_set_before_these(
    canned: CannedServer, isthmus: Isthmus, tmp_path: Path
) -> None:
    (tmp_path / "isthmus.yaml").write_text("locations: [{name: etl, module: etl}]\nconcurrency: {max_runs: 3}\n")
    outcome = await isthmus("location", "apply", "isthmus.yaml", "--no-wait")
    assert outcome.code == 0, outcome.err
    limits, applied = canned.plane.asked
    assert isinstance(limits, SetQueueSettingsRequest)
    assert isinstance(applied, ApplyLocationRequest)
    assert limits.settings.max_runs == 3


async def test_a_wrong_file_exits_with_2_and_names_file_field_and_remedy(isthmus: Isthmus, tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text("locations:\n  - {name: etl, module: a, file: b}\n  - {name: ETL, modul: a}\n")
    outcome = await isthmus("location", "apply", "l.yaml")
    assert outcome.code == 2
    assert "l.yaml cannot be used" in outcome.err
    assert (
        "locations[0]: give exactly one of module, file, package, autoload_defs_module (given: module, file)"
        in outcome.err
    )
    assert "locations[1].modul: there is no such field; did you mean module?" in outcome.err
    assert "locations[1].name: use 1 to 63 lower-case letters" in outcome.err


async def test_reload_applies_the_same_settings_as_a_new_generation(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.locations["etl"] = canned.plane.locations.setdefault("etl", a_location("etl"))
    canned.plane.phases = [a_location("etl")]
    outcome = await isthmus("location", "reload", "etl")
    assert outcome.code == 0, outcome.err
    request = canned.plane.asked[1]
    assert isinstance(request, ApplyLocationRequest)
    assert (request.reload, request.settings) == (True, canned.plane.locations["etl"].settings)


async def test_show_tells_error_placement_and_contents(canned: CannedServer, isthmus: Isthmus) -> None:
    location = broken("etl")
    location.snapshot.jobs.add(name="nightly", executor="in_process")
    asset = location.snapshot.assets.add(group="raw", kinds=["duckdb"])
    asset.key.path.extend(["raw", "trips"])
    location.snapshot.schedules.add(
        name="every_night", cron_schedules=["0 2 * * *"], timezone="UTC", job_name="nightly"
    )
    location.snapshot.sensors.add(name="on_file", kind="standard", job_names=["nightly"])
    canned.plane.locations["etl"] = location
    outcome = await isthmus("location", "show", "etl")
    assert outcome.code == 0, outcome.err
    for text in ("nightly", "assets of group raw", "raw/trips  duckdb", "0 2 * * * UTC", "on_file", "import nothing"):
        assert text in outcome.out
    as_json = await isthmus("location", "show", "etl", "-o", "json")
    assert as_json.document["snapshot"]["assets"][0]["key"]["path"] == ["raw", "trips"]
    assert as_json.document["placements"][0]["report"]["serving_generation"] == 2


async def test_lists_of_nothing_say_what_to_do_and_stay_valid_json(isthmus: Isthmus) -> None:
    for kind in ("location", "agent"):
        people = await isthmus(kind, "list")
        assert (people.code, people.out) == (0, "")
        assert f"isthmus {kind}" in people.err
        assert (await isthmus(kind, "list", "-o", "json")).document == []


async def test_an_agent_is_created_listed_drained_and_removed(canned: CannedServer, isthmus: Isthmus) -> None:
    accounts = ("--broker-user", "edge-user", "--code-server-broker-user", "edge-runs")
    created = await isthmus("agent", "create", "edge", "--pool", "big", *accounts)
    assert created.code == 0, created.err
    assert "ISTHMUS_AGENT_NAME=edge" in created.out
    assert canned.plane.asked[0].broker_user == "edge-user"  # type: ignore[attr-defined]
    assert canned.plane.asked[0].code_server_broker_user == "edge-runs"  # type: ignore[attr-defined]
    agent = Agent(name="edge", pool="big", state=AgentState.AGENT_STATE_ONLINE)
    agent.active_runs.add(run_id="r1", attempt=1)
    canned.plane.agents["edge"] = agent
    listed = await isthmus("agent", "list")
    assert listed.out.splitlines()[1].split()[:4] == ["edge", "ONLINE", "big", "1"]
    assert "r1" in (await isthmus("agent", "show", "edge")).out
    assert "1 run live" in (await isthmus("agent", "drain", "edge")).err
    canned.plane.refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "1 run lives on agent edge")
    removed = await isthmus("agent", "remove", "edge")
    assert removed.code == 1
    assert "1 run lives on agent edge" in removed.err
