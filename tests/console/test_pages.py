"""What pages show and tell, before a control plane with prepared answers."""

import asyncio
import re

import grpc
import pytest
from console.console_stand import Console, console
from console.project.hostile import ATTACKS
from google.rpc.error_details_pb2 import ErrorInfo, ResourceInfo
from isthmus.v1.control_plane_pb2 import (
    Agent,
    AgentState,
    ListRunsQuery,
    Queue,
    QueueReason,
    ReexecuteRunRequest,
    Run,
    RunExplanation,
    RunState,
    RunUpdate,
    Station,
    TerminateRunRequest,
    WaitReason,
    WatchedRuns,
    WatchRunRequest,
)
from isthmus.v1.telemetry_pb2 import (
    Event,
    Failure,
    LocationPhase,
    LogChunk,
    LogGap,
    LogStream,
    MetadataEntry,
    MetadataValue,
)
from support.canned import CannedControlPlane, Refusal, a_location, a_run

pytestmark = pytest.mark.usefixtures("token")


def plane(run: Run | None = None) -> CannedControlPlane:
    found = run or a_run("r1")
    made = CannedControlPlane(runs={"r1": found}, locations={"etl": a_location("etl")})
    made.explanation.CopyFrom(RunExplanation(run=found, stations=[Station(name="queued", began_at=found.queued_at)]))
    return made


def hostile_run() -> Run:
    text = " ".join(ATTACKS)
    run = a_run("r1", job=text, state=RunState.RUN_STATE_FAILED)
    run.message, run.agent, run.requested_by = text, text, text
    run.request.location = run.request.partition_key = run.request.run_config_json = text
    run.request.op_selection.append(text)
    run.tags[text] = text
    run.violations.add(field=text, description=text)
    run.failure.CopyFrom(
        Failure(error_class=text, message=f"{text}\n{text}", stack=[text], cause=Failure(message=text))
    )
    run.failure.metadata.append(MetadataEntry(label=text, value=MetadataValue(url="javascript:alert(1)")))
    return run


async def test_lists_show_what_runs_are_and_what_to_do_where_there_are_none() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        assert 'href="/runs/r1"' in (await shown.get("/runs")).text
        shown.plane.runs.clear()
        assert "isthmus run launch JOB" in (await shown.get("/runs")).text
        assert "No run is like that" in (await shown.get("/runs?state=failed&tag=team%3Dcore")).text
        shown.plane.locations.clear()
        overview = (await shown.get("/")).text
        assert "isthmus location apply FILE" in overview
        assert "Nothing failed." in overview
        assert "isthmus agent create NAME" in (await shown.get("/deployment")).text


async def test_what_is_asked_for_stands_in_the_address_and_in_the_fields() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        query = "state=failed&state=running&job=nightly&location=etl&tag=team%3Da%26b&text=ni&page=PAGE"
        page = await shown.get(f"/runs?{query}")
        (asked,) = [request for request in shown.plane.asked if isinstance(request, ListRunsQuery)]
        assert list(asked.states) == [RunState.RUN_STATE_FAILED, RunState.RUN_STATE_RUNNING]
        assert (asked.job_name, asked.location, asked.text, asked.page_token) == ("nightly", "etl", "ni", "PAGE")
        assert dict(asked.tags) == {"team": "a&b"}
        assert f'data-live="/runs/live?{query.replace("&", "&amp;")}"' in page.text
        assert page.text.count(" checked>") == 2
        assert 'name="tag" value="team=a&amp;b"' in page.text


@pytest.mark.parametrize(
    ("query", "remedy"), [("state=fialed", "Did you mean failed?"), ("tag=team", "Write a tag as key=value.")]
)
async def test_what_cannot_be_asked_for_is_named_with_what_can(query: str, remedy: str) -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        page = await shown.get(f"/runs?{query}")
        assert page.status == 400
        assert query in page.text
        assert remedy in page.text
        async with shown.listening(f"/runs/live?{query}") as told:
            fault = await told.next("fault")
            assert remedy in fault["text"]
            assert fault["again"] is False
            assert await told.next("never") is None


async def test_older_runs_are_a_link_away_that_keeps_what_is_asked_for() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        shown.plane.next_page_token = "NEXT"
        assert 'rel="next" href="/runs?state=queued&amp;page=NEXT"' in (await shown.get("/runs?state=queued")).text


async def test_texts_of_user_code_stay_texts_on_every_page() -> None:
    run = hostile_run()
    made = plane(run)
    text = " ".join(ATTACKS)
    made.explanation.reasons.append(WaitReason(text=text, remedy=text, step_key=text))
    location = a_location(text)
    location.placements[0].report.phase = LocationPhase.LOCATION_PHASE_FAILED
    location.placements[0].report.failure.CopyFrom(run.failure)
    made.locations = {"x": location}
    made.agents = {"a": Agent(name=text, state=AgentState.AGENT_STATE_LOST)}
    made.queue = Queue(reasons=[QueueReason(text=text, runs=1)])
    event = Event(step_key=text, message=text)
    event.step_failed.failure.CopyFrom(run.failure)
    made.updates = [RunUpdate(position=1, event=event)]
    async with console(made) as shown:
        await shown.sign_in()
        for path in ("/", "/runs", "/runs/r1", "/runs/r1/output?step=%3Cscript%3E", "/runs/r1/events/1", "/deployment"):
            page = await shown.get(path)
            assert page.status == 200, path
            assert "document.title" in page.text or "output" in path
            assert not re.search(r"<(?:img|svg|b|script)\b(?! type=\"module\")", page.text, re.IGNORECASE), path
            assert not re.search(r"(?:href|src)=\"(?!/|#)", page.text), path
            assert not re.search(r"\son\w+=\"", page.text), path


async def test_a_page_of_runs_is_told_again_when_it_changes() -> None:
    made = plane()
    made.pages = [
        WatchedRuns(run_ids=["r1"], changed=[a_run("r1")]),
        WatchedRuns(run_ids=["r1"], changed=[a_run("r1", state=RunState.RUN_STATE_FAILED)]),
    ]
    async with console(made) as shown:
        await shown.sign_in()
        async with shown.listening("/runs/live") as told:
            assert (await told.next("hello"))["build"].startswith("main-")
            assert "queued" in (await told.next("fragment"))["html"]
            last = await told.next("fragment")
            assert (last["target"], "failed" in last["html"]) == ("runs", True)


async def test_the_overview_sorts_runs_and_names_what_needs_a_hand() -> None:
    made = plane()
    made.runs = {
        state: a_run(state, state=RunState.Value(f"RUN_STATE_{state}")) for state in ("QUEUED", "RUNNING", "FAILED")
    }
    made.agents = {"a": Agent(name="alpha", state=AgentState.AGENT_STATE_LOST)}
    async with console(made) as shown:
        await shown.sign_in()
        page = (await shown.get("/")).text
        order = ["agent alpha", "<h2>Running", "/runs/RUNNING", "<h2>Waiting", "/runs/QUEUED", "<h2>Failed"]
        assert sorted(order, key=page.index) == order
        async with shown.listening("/live") as told:
            assert "/runs/FAILED" in (await told.next("fragment"))["html"]


def updates(count: int, *, is_over: bool) -> list[RunUpdate]:
    found = [RunUpdate(position=position, event=Event(message=f"e{position}")) for position in range(1, count + 1)]
    found[0].run.CopyFrom(a_run("r1", state=RunState.RUN_STATE_RUNNING))
    if is_over:
        found[-1].run.CopyFrom(a_run("r1", state=RunState.RUN_STATE_SUCCEEDED))
    return found


async def test_the_stream_of_a_run_goes_on_after_what_the_page_heard_last() -> None:
    made = plane()
    made.updates = updates(1_200, is_over=True)
    async with console(made) as shown:
        await shown.sign_in()
        heard = []
        async with shown.listening("/runs/r1/live") as told:
            while news := await told.next("events", "over"):
                heard += [row["position"] for row in news]
            assert (heard, told.last_id) == (list(range(1, 1_201)), "1200")
        async with shown.listening("/runs/r1/live?after=3", **{"Last-Event-ID": "1198"}) as told:
            assert [row["position"] for row in await told.next("events")] == [1_199, 1_200]
            assert await told.next("over") == {}
        async with shown.listening("/runs/r1/live?after=1199") as told:
            assert [row["position"] for row in await told.next("events")] == [1_200]
        asked = [request.after_position for request in shown.plane.asked if isinstance(request, WatchRunRequest)]
        assert asked == [0, 1_198, 1_199]


async def test_a_position_that_is_none_is_refused_with_what_to_do() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        async with shown.listening("/runs/r1/live?after=-1") as told:
            assert "Load the page again" in (await told.next("fault"))["text"]


async def test_a_run_that_is_not_there_is_a_page_that_says_so() -> None:
    made = plane()
    detail = ResourceInfo(resource_type="run", resource_name="r9")
    info = ErrorInfo(metadata={"remedy": "List the runs: isthmus run list"})
    made.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "There is no run r9.", (detail, info))
    async with console(made) as shown:
        await shown.sign_in()
        page = await shown.get("/runs/r9")
        assert page.status == 404
        assert "There is no run r9." in page.text
        assert "isthmus run list" in page.text
        async with shown.listening("/runs/r9/live") as told:
            assert (await told.next("fault"))["again"] is False


async def test_a_control_plane_that_is_away_is_told_with_what_to_do() -> None:
    async with console(plane(), server="127.0.0.1:1") as shown:
        await shown.sign_in()
        page = await shown.get("/runs")
        assert page.status == 503
        assert "No control plane answers at 127.0.0.1:1" in page.text


async def test_an_event_is_shown_whole_with_its_failure_and_its_metadata_by_type() -> None:
    made = plane()
    event = Event(step_key="load", message="m" * 5_000)
    cause = Failure(error_class="ValueError", message="no number", stack=['  File "mine.py", line 1, in f\n'])
    event.step_failed.failure.CopyFrom(Failure(error_class="RuntimeError", message="it broke", cause=cause))
    event.step_failed.failure.metadata.extend(
        [
            MetadataEntry(label="page", value=MetadataValue(url="https://example.com/x")),
            MetadataEntry(label="document", value=MetadataValue(json='{"a":1}')),
        ]
    )
    made.updates = [RunUpdate(position=7, event=event)]
    async with console(made) as shown:
        await shown.sign_in()
        page = (await shown.get("/runs/r1/events/7")).text
        assert page.index("ValueError: no number") < page.index("direct cause") < page.index("RuntimeError: it broke")
        assert 'href="https://example.com/x" rel="noopener noreferrer"' in page
        assert "{\n  &#34;a&#34;: 1\n}" in page
        assert "m" * 5_000 in page


async def test_an_event_that_a_run_does_not_have_is_told_as_that() -> None:
    made = plane()
    made.updates, made.hold = updates(2, is_over=False), asyncio.Event()
    async with console(made) as shown:
        await shown.sign_in()
        page = await shown.get("/runs/r1/events/3")
        assert page.status == 400
        assert "does not go so far" in page.text


async def test_output_is_told_by_stream_whole_characters_and_with_what_is_missing() -> None:
    made = plane()
    halves = "é".encode()
    made.chunks = [
        LogChunk(stream=LogStream.LOG_STREAM_STDOUT, offset=0, data=b"a" + halves[:1]),
        LogChunk(stream=LogStream.LOG_STREAM_STDOUT, offset=2, data=halves[1:] + b"\xff"),
        LogChunk(
            stream=LogStream.LOG_STREAM_STDERR, offset=0, step_key="load", gap=LogGap(reason=LogGap.REASON_REMOVED)
        ),
    ]
    async with console(made) as shown:
        await shown.sign_in()
        async with shown.listening("/runs/r1/output/live?step=load") as told:
            assert await told.next("begin") == {}
            pieces = await told.next("output")
            assert await told.next("over") == {}
        assert [(piece["stream"], piece["step"], piece["text"]) for piece in pieces] == [
            ("stdout", "", "a"),
            ("stdout", "", "é\ufffd"),
            ("stderr", "load", ""),
        ]
        assert "removed" in pieces[2]["gap"]


async def form_token(shown: Console) -> dict[str, str]:
    return {"form_token": (await shown.get("/runs/r1")).form_token}


async def test_a_run_is_terminated_and_executed_again_by_forms() -> None:
    async with console(plane(a_run("r1", state=RunState.RUN_STATE_FAILED))) as shown:
        await shown.sign_in()
        proof = await form_token(shown)
        page = await shown.post("/runs/r1/terminate", proof)
        assert (page.status, page.headers["Location"]) == (303, "/runs/r1")
        for name, strategy in (
            ("all", ReexecuteRunRequest.STRATEGY_ALL_STEPS),
            ("from-failure", ReexecuteRunRequest.STRATEGY_FROM_FAILURE),
        ):
            page = await shown.post("/runs/r1/reexecute", {**proof, "strategy": name, "run_id": "new"})
            assert page.status == 303
            asked = shown.plane.asked[-1]
            assert isinstance(asked, ReexecuteRunRequest)
            assert (asked.parent_run_id, asked.run_id, asked.strategy) == ("r1", "new", strategy)
        (ended,) = [request for request in shown.plane.asked if isinstance(request, TerminateRunRequest)]
        assert (ended.run_id, ended.requested_by) == ("r1", "console")
        page = await shown.post("/runs/r1/reexecute", {**proof, "strategy": "some"})
        assert page.status == 400
        assert "from-failure" in page.text


async def test_what_the_control_plane_refuses_is_shown_in_its_words() -> None:
    async with console(plane()) as shown:
        await shown.sign_in()
        proof = await form_token(shown)
        info = ErrorInfo(metadata={"remedy": "Wait for its end."})
        shown.plane.refusal = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "The run goes on.", (info,))
        page = await shown.post("/runs/r1/reexecute", {**proof, "strategy": "all"})
        assert page.status == 409
        assert "The run goes on." in page.text
        assert "Wait for its end." in page.text


async def test_open_streams_end_with_the_console() -> None:
    made = plane()
    made.updates, made.hold = updates(2, is_over=False), asyncio.Event()
    async with console(made) as shown:
        await shown.sign_in()
        async with shown.listening("/runs/r1/live") as told:
            await told.next("events")
            shown.stop.set()
            assert await told.next("over") is None
