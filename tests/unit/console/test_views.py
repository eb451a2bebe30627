"""Messages as pages show them."""

import pytest
from isthmus.v1.control_plane_pb2 import (
    Agent,
    AgentState,
    Location,
    LocationPlacement,
    RunState,
    RunUpdate,
)
from isthmus.v1.telemetry_pb2 import (
    AssetCheckEvaluated,
    AssetKey,
    AssetMaterialized,
    CheckSeverity,
    EngineEvent,
    Event,
    Failure,
    LocationPhase,
    LocationReport,
    LogMessage,
    MetadataEntry,
    MetadataValue,
    RunStarted,
    Table,
    TableColumn,
    TableRecord,
    TableSchema,
)
from isthmus_console.view.deployment import agent_views, location_views
from isthmus_console.view.event import event_row
from isthmus_console.view.failure import failure_links
from isthmus_console.view.metadata import metadata_views
from isthmus_console.view.overview import RunGroups, overview_query
from isthmus_console.view.words import moment, took, why_text
from support.canned import a_run


def row(event: Event) -> dict[str, object]:
    event.occurred_at.FromMilliseconds(1_900_000_000_250)
    return dict(event_row(RunUpdate(position=3, attempt=1, event=event)))


def test_a_row_tells_when_where_and_how_serious_an_event_is() -> None:
    told = row(Event(step_key="load", message="careful", log_message=LogMessage(level=30)))
    assert told == {
        "position": 3,
        "attempt": 1,
        "at": 1_900_000_000_250.0,
        "kind": "log_message",
        "level": 30,
        "text": "careful",
        "step": "load",
    }


def test_the_start_of_a_run_tells_its_steps() -> None:
    told = row(Event(run_started=RunStarted(pid=7, step_keys=["a", "b"])))
    assert (told["text"], told["steps"]) == ("started, process 7, 2 steps", ["a", "b"])


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (Event(engine_event=EngineEvent()), 10),
        (Event(engine_event=EngineEvent(failure=Failure(message="x"))), 40),
        (Event(asset_check_evaluated=AssetCheckEvaluated(is_passed=True)), 20),
        (Event(asset_check_evaluated=AssetCheckEvaluated(severity=CheckSeverity.CHECK_SEVERITY_WARN)), 30),
        (Event(asset_check_evaluated=AssetCheckEvaluated(severity=CheckSeverity.CHECK_SEVERITY_ERROR)), 40),
    ],
)
def test_failures_are_serious_and_the_frameworks_own_work_is_not(event: Event, level: int) -> None:
    assert row(event)["level"] == level


def test_an_event_of_a_kind_that_this_release_does_not_know_is_a_row_all_the_same() -> None:
    assert row(Event(message="new"))["kind"] == "unknown"
    assert row(Event())["text"] == "unknown"


def test_a_row_is_short_and_says_that_there_is_more() -> None:
    told = row(Event(message="x" * 10_000, log_message=LogMessage(level=20)))
    assert (len(str(told["text"])), told["more"]) == (400, True)
    metadata = [MetadataEntry(label="rows", value=MetadataValue(int=5))]
    made = Event(
        asset_materialized=AssetMaterialized(asset=AssetKey(path=["a", "b"]), partition="p", metadata=metadata)
    )
    assert (row(made)["text"], row(made)["more"]) == ("materialized a/b [p]  rows=5", True)


def frame(file: str) -> str:
    return f'  File "{file}", line 1, in f\n'


def test_a_failure_tells_its_causes_first_and_folds_frames_of_the_framework() -> None:
    cause = Failure(error_class="ValueError", message="bad\nworse", stack=[frame("/app/mine.py")])
    stack = [frame("/x/site-packages/dagster/a.py"), frame("/x/site-packages/dagster/b.py"), frame("/app/mine.py")]
    links = failure_links(Failure(error_class="RuntimeError", message="it broke", stack=stack, cause=cause))
    assert [link.headline for link in links] == ["ValueError: bad", "RuntimeError: it broke"]
    assert [(link.rest, bool(link.then)) for link in links] == [("worse", True), ("", False)]
    assert [(group.count, group.is_folded) for group in links[1].frames] == [(2, True), (1, False)]


def test_frames_of_the_framework_are_shown_where_there_are_no_others() -> None:
    (link,) = failure_links(Failure(stack=[frame("/x/site-packages/dagster/a.py")]))
    assert (link.headline, link.frames[0].is_folded) == ("no reason was given", False)


@pytest.mark.parametrize(
    ("value", "text", "href"),
    [
        (MetadataValue(url="https://example.com/a"), "https://example.com/a", "https://example.com/a"),
        (MetadataValue(url="javascript:alert(1)"), "javascript:alert(1)", ""),
        (MetadataValue(url=" https://example.com"), " https://example.com", ""),
        (MetadataValue(run_id="a/b"), "a/b", "/runs/a%2Fb"),
        (MetadataValue(json="{no json"), "{no json", ""),
        (MetadataValue(markdown="<b>x</b>"), "<b>x</b>", ""),
        (MetadataValue(timestamp=1e300), "1e+300", ""),
        (MetadataValue(timestamp=0), "1970-01-01 00:00:00+00:00", ""),
        (MetadataValue(), "null", ""),
    ],
)
def test_values_are_shown_by_their_types_and_only_addresses_are_links(
    value: MetadataValue, text: str, href: str
) -> None:
    (view,) = metadata_views([MetadataEntry(label="x", value=value)])
    assert (view.text, view.href) == (text, href)


def test_a_table_is_rows_and_says_how_many_it_leaves_out() -> None:
    records = [TableRecord(cells={"n": MetadataValue(int=number)}) for number in range(150)]
    table = Table(schema=TableSchema(columns=[TableColumn(name="n"), TableColumn(name="m")]), records=records)
    (view,) = metadata_views([MetadataEntry(label="t", value=MetadataValue(table=table))])
    assert (view.head, len(view.rows), view.rows[1], view.text) == (["n", "m"], 100, ["1", ""], "and 50 more rows")


def test_runs_are_sorted_by_what_they_do() -> None:
    runs = [a_run(str(number), state=state) for number, state in enumerate(overview_query().states)]
    groups = RunGroups.of(runs)
    assert [run.state for run in groups.waiting] == [RunState.RUN_STATE_QUEUED]
    assert [run.state for run in groups.failed] == [RunState.RUN_STATE_FAILED]
    assert len(groups.under_way) == len(runs) - 2


def a_place(agent: str, **report: object) -> LocationPlacement:
    return LocationPlacement(
        agent=agent,
        agent_state=AgentState.AGENT_STATE_ONLINE,
        report=LocationReport(**report),  # type: ignore[arg-type]
    )


def a_location(name: str, *placements: LocationPlacement, replicas: int = 0) -> Location:
    found = Location(placements=placements)
    found.settings.name, found.settings.replicas = name, replicas
    found.settings.source.module = f"{name}.definitions"
    return found


def test_locations_that_need_a_hand_come_first_with_what_helps() -> None:
    failed = a_place(
        "alpha",
        phase=LocationPhase.LOCATION_PHASE_FAILED,
        generation=4,
        serving_generation=3,
        failure=Failure(error_class="ImportError", message="no module"),
    )
    lost = a_place("alpha", phase=LocationPhase.LOCATION_PHASE_SERVING)
    lost.agent_state = AgentState.AGENT_STATE_LOST
    views = location_views(
        [
            a_location("a_fine", a_place("alpha", phase=LocationPhase.LOCATION_PHASE_SERVING)),
            a_location("b_nowhere"),
            a_location("c_failed", failed),
            a_location("d_few", a_place("alpha"), replicas=3),
            a_location("e_lost", lost),
        ]
    )
    assert [(view.location.settings.name, view.trouble) for view in views] == [
        ("b_nowhere", "No agent of pool default has it: start one."),
        (
            "c_failed",
            "Generation 4 does not load on alpha: ImportError: no module. Generation 3 goes on serving.",
        ),
        ("d_few", "It lacks 2 agents of pool default: start more."),
        ("e_lost", "None of its agents is there: start one again."),
        ("a_fine", ""),
    ]
    assert (views[1].links[0].headline, views[4].source) == ("ImportError: no module", "a_fine.definitions")


def test_agents_that_need_a_hand_come_first() -> None:
    views = agent_views(
        [
            Agent(name="a", state=AgentState.AGENT_STATE_ONLINE),
            Agent(name="b", state=AgentState.AGENT_STATE_STOPPED),
            *(
                Agent(name=state, state=AgentState.Value(f"AGENT_STATE_{state}"))
                for state in ("LOST", "NEW", "DRAINING")
            ),
        ]
    )
    assert [(view.agent.name, bool(view.trouble)) for view in views] == [
        ("DRAINING", True),
        ("LOST", True),
        ("NEW", True),
        ("a", False),
        ("b", False),
    ]


def test_moments_are_written_for_the_readers_clock() -> None:
    run = a_run("r", state=RunState.RUN_STATE_FAILED)
    assert 'datetime="2030-03-17T17:46:40.000+00:00"' in moment(run.queued_at)
    assert took(run) == "2.0 s"
    run.queued_at.seconds = 10**15
    assert moment(run.queued_at) == "1e+15"
    run.queued_at.seconds = 0
    assert "time" not in moment(run.queued_at)
    running = a_run("r", state=RunState.RUN_STATE_RUNNING)
    assert took(running) == "&ndash;"
    running.started_at.FromSeconds(1_900_000_001)
    assert 'data-form="since"' in took(running)


def test_why_is_one_line_that_says_nothing_twice() -> None:
    run = a_run("r", state=RunState.RUN_STATE_FAILED)
    assert why_text(run) == ""
    run.failure.CopyFrom(Failure(error_class="ValueError", message="bad\nworse"))
    assert why_text(run) == "ValueError: bad"
    run.message = "step load: bad\nworse"
    assert why_text(run) == "step load: bad"
