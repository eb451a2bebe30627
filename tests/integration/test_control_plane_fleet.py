"""Agents and locations: who holds what, who is told, and who takes over."""

import asyncio
from collections import Counter

import grpc
import pytest
from integration.control_plane_stand import control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus_broker import declaring
from isthmus_store import events
from isthmus_store.signal import Accepted, Started, Succeeded
from isthmus_store.state import AgentState, LocationPhase
from support.eventually import eventually


async def test_an_agent_is_created_once_and_its_queue_is_there(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        first = await stand.create_agent(pool="gpu")
        again = await stand.create_agent(pool="gpu")
        assert first == again
        assert (first.state, first.pool, first.queue) == (api.AGENT_STATE_NEW, "gpu", "isthmus.agent.default.alpha")
        async with stand.agent():
            listed = await stand.stub.ListAgents(api.ListAgentsRequest())
        assert [agent.name for agent in listed.agents] == ["alpha"]


async def test_equal_settings_change_nothing_and_other_ones_are_a_new_generation(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        async with stand.agent() as agent:
            assert (await stand.apply(env={"A": "1", "B": "2"})).generation == 1
            assert (await stand.apply(env={"B": "2", "A": "1"})).generation == 1
            changed = await stand.apply(env={"A": "3"})
            assert (changed.generation, changed.phase) == (2, telemetry_pb2.LOCATION_PHASE_PENDING)
            told = [await agent.next("sync_locations") for _ in range(2)]
            specs = [it.sync_locations.locations[0] for it in told]
            assert [(spec.generation, dict(spec.env)) for spec in specs] == [(1, {"A": "1", "B": "2"}), (2, {"A": "3"})]
            assert [it.sync_locations.revision for it in told] == [1, 2]
            request = api.ApplyLocationRequest(settings=changed.settings, reload=True)
            assert (await stand.stub.ApplyLocation(request)).generation == 3


async def test_a_location_goes_back_to_what_it_was(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stand.stub.RollbackLocation(api.RollbackLocationRequest(name="sales"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        first = await stand.apply(env={"A": "1"})
        with pytest.raises(grpc.aio.AioRpcError) as only:
            await stand.stub.RollbackLocation(api.RollbackLocationRequest(name="sales"))
        assert "there is no earlier generation of 'sales'" in str(only.value.details())
        await stand.apply(env={"A": "2"})
        version = api.CodeVersion(commit="abc", url="https://git.example/abc")
        request = api.ApplyLocationRequest(settings=first.settings, requested_by="ana", code_version=version)
        request.settings.env["A"] = "3"
        await stand.stub.ApplyLocation(request)

        back = await stand.stub.RollbackLocation(api.RollbackLocationRequest(name="sales", requested_by="bob"))
        assert (back.generation, dict(back.settings.env)) == (4, {"A": "2"})
        again = await stand.stub.RollbackLocation(api.RollbackLocationRequest(name="sales", generation=3))
        assert (again.generation, dict(again.settings.env)) == (5, {"A": "3"})
        page = await stand.stub.ListGenerations(api.ListGenerationsRequest(name="sales", page_size=3))
        told = [(it.generation, it.settings.env["A"], it.applied_by, it.code_version) for it in page.generations]
        nothing = api.CodeVersion()
        assert told == [(5, "3", "", version), (4, "2", "bob", nothing), (3, "3", "ana", version)]
        assert page.has_more
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await stand.stub.RollbackLocation(api.RollbackLocationRequest(name="sales", generation=77))
        assert "there is no generation 'sales@77'" in str(missing.value.details())


async def test_what_is_only_validated_changes_nothing(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        wanted = await stand.apply()
        request = api.ApplyLocationRequest(settings=wanted.settings, validate_only=True)
        request.settings.env["A"] = "1"
        assert dict((await stand.stub.ApplyLocation(request)).settings.env) == {"A": "1"}
        request.code_version.url = "javascript:alert(1)"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.ApplyLocation(request)
        assert "code_version.url: must begin with http:// or https://" in str(refused.value.details())
        assert (await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))).generation == wanted.generation


async def test_a_location_is_watched_from_pending_to_serving_to_removed(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        views = stand.stub.WatchLocation(api.WatchLocationRequest(name="sales"))
        assert (await views.read()).phase == telemetry_pb2.LOCATION_PHASE_PENDING
        await stand.report(phase=LocationPhase.IMPORTING)
        assert (await views.read()).phase == telemetry_pb2.LOCATION_PHASE_IMPORTING
        await stand.report()
        serving = await views.read()
        assert serving.phase == telemetry_pb2.LOCATION_PHASE_SERVING
        assert [job.name for job in serving.snapshot.jobs] == ["nightly", "__ASSET_JOB"]
        await stand.stub.RemoveLocation(api.RemoveLocationRequest(name="sales"))
        removed = await views.read()
        assert removed.is_removed
        assert await views.read() is grpc.aio.EOF
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))
        assert gone.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_location_that_fails_to_load_says_so_where_its_runs_wait(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        failure = telemetry_pb2.Failure(error_class="ImportError", message="No module named 'sales'\nmore")
        await stand.report(phase=LocationPhase.FAILED, failure=failure)
        run = await stand.launch()
        assert "did not load on agent alpha: No module named 'sales'; mend it" in run.message
        location = await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))
        assert location.placements[0].report.failure == failure


async def test_a_removed_location_is_taken_from_its_agent(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        assert len((await agent.next("sync_locations")).sync_locations.locations) == 1
        await stand.stub.RemoveLocation(api.RemoveLocationRequest(name="sales"))
        assert not (await agent.next("sync_locations")).sync_locations.locations


async def test_a_lost_agents_location_moves_to_one_that_lives(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        await stand.create_agent("beta")
        await stand.hear("beta", revision=0)
        async with stand.agent("beta") as beta, stand.agent("alpha") as alpha:
            assert (await alpha.next("sync_locations")).sync_locations.locations
            await stand.hear("alpha", state=AgentState.LOST)
            taken_over = await beta.next("sync_locations")
            spec = taken_over.sync_locations.locations[0]
            assert (spec.name, bool(spec.known_snapshot_hash)) == ("sales", True)
            assert not (await alpha.next("sync_locations")).sync_locations.locations
        held = await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))
        assert [it.agent for it in held.placements] == ["beta"]


@pytest.mark.parametrize("state", [AgentState.LOST, AgentState.STOPPED])
async def test_a_launch_that_a_gone_agent_did_not_begin_is_placed_on_the_one_that_serves_now(
    broker_url: str, database_url: str, state: AgentState
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        await stand.create_agent("beta")
        await stand.hear("beta", revision=0)
        begun, waiting = [(await stand.launch()).request.run.run_id for _ in range(2)]
        await stand.record(begun, signal=Accepted(attempt=1))
        async with stand.agent("beta") as beta:
            await stand.hear("alpha", state=state)
            # Nobody serves it yet: the launch stays where it is.
            await beta.next("sync_locations")
            await stand.report(agent="beta")
            request = (await beta.next("launch_run")).launch_run.request
        assert (request.run.run_id, request.run.attempt) == (waiting, 2)
        run = await stand.run(waiting)
        assert (run.state, run.agent, run.request.run.attempt) == (api.RUN_STATE_DISPATCHED, "beta", 2)
        async with stand.database.read() as tx:
            told_of = [(event.kind, event.attempt) for event in await events.after(tx, waiting, position=0)]
        assert told_of == [("run_queued", 1), ("run_dispatched", 1), ("run_dispatched", 2)]
        # What was seen to begin goes on, and waits for its agent.
        assert (await stand.run(begun)).agent == "alpha"
        async with stand.agent("alpha") as alpha:
            told = (await alpha.next("terminate_run")).terminate_run
            assert (told.run.run_id, told.run.attempt) == (waiting, 1)
        await stand.record(waiting, signal=Started(attempt=1))
        assert (await stand.run(waiting)).state == api.RUN_STATE_DISPATCHED


async def test_a_location_is_on_as_many_agents_as_it_has_replicas_and_runs_are_spread_over_them(
    broker_url: str, database_url: str
) -> None:
    async def holders() -> list[tuple[str, int]]:
        placed = (await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))).placements
        return [(it.agent, it.agent_state) for it in placed]

    async def are_held_by(*names: str) -> None:
        async def is_so() -> bool:
            return await holders() == [(name, api.AGENT_STATE_ONLINE) for name in names]

        await eventually(is_so, within=20)

    async with control_plane(broker_url, database_url) as stand:
        for name in ("alpha", "beta", "gamma"):
            await stand.create_agent(name)
        await stand.apply(replicas=2)
        assert await holders() == [("alpha", api.AGENT_STATE_NEW)]
        await stand.hear("beta", revision=0)
        await stand.hear("gamma", revision=0)
        # Nobody serves yet, and so it moves off the one that never came.
        await are_held_by("beta", "gamma")
        for name in ("beta", "gamma"):
            async with stand.agent(name) as agent:
                assert [it.name for it in (await agent.next("sync_locations")).sync_locations.locations] == ["sales"]
            await stand.report(agent=name)
        crowd = await asyncio.gather(*(stand.launch() for _ in range(40)))
        spread = Counter(run.agent for run in crowd)
        assert set(spread) == {"beta", "gamma"}
        assert abs(spread["beta"] - spread["gamma"]) <= 8, spread
        # What one has more already is not given to it.
        for run in crowd:
            if run.agent == "beta":
                await stand.record(run.request.run.run_id, signal=Accepted(attempt=1))
                await stand.record(run.request.run.run_id, signal=Succeeded(attempt=1))
        after = Counter([(await stand.launch()).agent for _ in range(10)])
        assert after == {"beta": 10}
        await stand.hear("beta", state=AgentState.LOST)
        await stand.hear("alpha", revision=0)
        await are_held_by("alpha", "gamma")
        await stand.apply(replicas=1)
        assert [name for name, _ in await holders()] == ["gamma"]


async def test_a_location_is_told_where_it_is_to_be_reloaded_on_each_of_its_agents(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        for name in ("alpha", "beta"):
            await stand.create_agent(name)
            await stand.hear(name, revision=0)
        await stand.apply(replicas=2)
        async with stand.agent("alpha") as alpha, stand.agent("beta") as beta:
            assert (await alpha.next("sync_locations")).sync_locations.locations[0].generation == 1
            assert (await beta.next("sync_locations")).sync_locations.locations[0].generation == 1
            await stand.report(agent="alpha")
            await stand.report(agent="beta")
            # Said or not, one setting is the same as before.
            assert (await stand.apply(replicas=2)).generation == 1
            assert (await stand.apply(replicas=2, env={"A": "1"})).generation == 2
            assert (await alpha.next("sync_locations")).sync_locations.locations[0].generation == 2
            assert (await beta.next("sync_locations")).sync_locations.locations[0].generation == 2
            failure = telemetry_pb2.Failure(error_class="ImportError", message="No module named 'sales'")
            await stand.report(agent="alpha", generation=2, phase=LocationPhase.FAILED, failure=failure)
            await stand.report(agent="beta", generation=2)
            # Only one of them has the newest.
            assert {(await stand.launch()).agent for _ in range(5)} == {"beta"}
            await stand.stub.RemoveLocation(api.RemoveLocationRequest(name="sales"))
            assert not (await alpha.next("sync_locations")).sync_locations.locations
            assert not (await beta.next("sync_locations")).sync_locations.locations


async def test_a_launch_waits_for_an_agent_that_is_gone_where_nobody_else_serves_or_the_queue_is_paused(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        await stand.hear("alpha", state=AgentState.LOST)
        await stand.stub.Pause(api.PauseRequest(kind=api.PAUSE_KIND_QUEUE))
        await stand.create_agent("beta")
        await stand.hear("beta", revision=0)
        async with stand.agent("beta") as beta:
            await beta.next("sync_locations")
            await stand.report(agent="beta")
            # Each change is looked at: an answer to the last shows that those before it were.
            await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))
            assert (await stand.run(run_id)).agent == "alpha"
            await stand.stub.Resume(api.ResumeRequest(kind=api.PAUSE_KIND_QUEUE))
            assert (await beta.next("launch_run")).launch_run.request.run.attempt == 2


async def test_runs_of_a_paused_agent_s_location_go_to_another_agent_of_the_pool(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        pause = api.PauseRequest(kind=api.PAUSE_KIND_AGENT, name="alpha", why="a new disk")
        await stand.stub.Pause(pause)
        run = await stand.launch()
        assert run.state == api.RUN_STATE_QUEUED
        await stand.create_agent("beta")
        async with stand.agent("beta") as beta:
            await stand.hear("beta", revision=0)
            await beta.next("sync_locations")
            await stand.report(agent="beta")
            launched = (await beta.next("launch_run")).launch_run.request
        assert launched.run.run_id == run.request.run.run_id


async def test_an_agent_that_lost_its_memory_is_told_its_locations_again(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        first = await agent.next("sync_locations")
        await stand.hear(incarnation="life-2", revision=0)
        again = await agent.next("sync_locations")
        specs = [(it.sync_locations.revision, it.sync_locations.locations[0].generation) for it in (first, again)]
        assert specs == [(1, 1), (1, 1)]
        await stand.hear(incarnation="life-2", revision=7)
        assert (await agent.next("sync_locations")).sync_locations.revision == 8


async def test_a_draining_agent_gets_no_runs(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        drained = await stand.stub.DrainAgent(api.DrainAgentRequest(name="alpha"))
        assert drained.state == api.AGENT_STATE_DRAINING
        assert (await agent.next("drain_agent")).HasField("drain_agent")
        run = await stand.launch()
        assert (run.state, "agent alpha is draining" in run.message) == (api.RUN_STATE_QUEUED, True)


async def test_an_agent_with_runs_stays_and_one_without_goes_with_its_queue(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        async with stand.serving():
            run = await stand.launch()
            with pytest.raises(grpc.aio.AioRpcError) as busy:
                await stand.stub.RemoveAgent(api.RemoveAgentRequest(name="alpha"))
            assert busy.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert run.request.run.run_id in str(busy.value.details())
        await stand.create_agent("beta")
        await stand.stub.RemoveAgent(api.RemoveAgentRequest(name="beta"))

        async def is_gone() -> bool:
            with pytest.raises(grpc.aio.AioRpcError) as missing:
                await stand.stub.GetAgent(api.GetAgentRequest(name="beta"))
            return missing.value.code() is grpc.StatusCode.NOT_FOUND

        assert await eventually(is_gone, within=2)


async def test_a_queue_that_the_broker_lost_is_mended_and_the_launch_delivered(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        await declaring.remove_agent(stand.broker, deployment="default", agent="alpha")
        run = await stand.launch()

        async def is_there_again() -> bool:
            async with stand.agent() as agent:
                launch = await agent.next("launch_run", within=5)
            return launch.launch_run.request.run.run_id == run.request.run.run_id

        assert await is_there_again()
