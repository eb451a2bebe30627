"""Runs: launched, shown, listed and ended."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_lifecycle.log import get_logger
from isthmus_store import run_page, runs, wire
from isthmus_store.record.run import Run
from isthmus_store.run_page import RunCursor, RunPage, RunQuery
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.run_names import find_named, no_such_run
from isthmus_control_plane.dispatching.acceptance import Accepted, Acceptor, Launch
from isthmus_control_plane.dispatching.ending import ask_for_end
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

_DEFAULT_PAGE = 50


class RunDesk:
    """Launches, shows and ends runs."""

    def __init__(self, core: Core, *, acceptor: Acceptor, waits: Waits) -> None:
        self._core = core
        self._acceptor = acceptor
        self._waits = waits

    async def launch(self, request: api.LaunchRunRequest) -> Accepted:
        """Accept a run: from the return on it will end in a state with a reason, whatever dies.

        A run id that exists already returns that run as it stands, when it is a run of the same request.
        """
        refuse(rules.launch_run(request))
        return await self._acceptor.accept(
            Launch(
                deployment=request.deployment or DEFAULT,
                request=run_request(request),
                requested_by=request.requested_by,
                is_id_given=bool(request.run_id),
                asset_queries=tuple(request.asset_queries),
            )
        )

    async def get(self, *, deployment: str, run_id: str) -> Run:
        """Return one run."""
        refuse(rules.of_run(deployment=deployment, run_id=run_id))
        async with self._core.database.read() as tx:
            run = await find(tx, deployment=deployment or DEFAULT, run_id=run_id.lower())
        return self._waits.explained(run)

    async def find(self, request: api.FindRunRequest) -> Run:
        """Return the run that a person's name for it means."""
        async with self._core.database.read() as tx:
            run = await find_named(tx, request)
        return self._waits.explained(run)

    async def tags(self, those: Sequence[Run]) -> Mapping[str, Mapping[str, str]]:
        """Return the tags that runs have now, by their ids."""
        if not those:
            return {}
        async with self._core.database.look() as tx:
            return await runs.tags(tx, [run.run_id for run in those])

    async def page(self, query: api.ListRunsQuery) -> RunPage:
        """Return a page of runs, newest first."""
        refuse(rules.list_runs(query))
        wanted = RunQuery(
            deployment=query.deployment or DEFAULT,
            location=query.location,
            job_name=query.job_name,
            states=frozenset(wire.RUN_STATES.from_wire(it, otherwise=RunState.QUEUED) for it in query.states),
            tags=dict(query.tags),
            text=query.text,
            queued_after=clock.moment(query.queued_after) if query.HasField("queued_after") else None,
            queued_before=clock.moment(query.queued_before) if query.HasField("queued_before") else None,
            page_size=query.page_size or _DEFAULT_PAGE,
            after=RunCursor.decode(query.page_token) if query.page_token else None,
        )
        async with self._core.database.read() as tx:
            found = await run_page.page(tx, wanted)
        return replace(found, runs=tuple(self._waits.explained(run) for run in found.runs))

    async def terminate(self, request: api.TerminateRunRequest) -> Run:
        """Ask for a run's end. A queued one is canceled at once; one that has ended stays as it is."""
        refuse(rules.terminate_run(request))
        run_id, deployment, at = request.run_id.lower(), request.deployment or DEFAULT, clock.now()
        async with self._core.database.write() as tx:
            await find(tx, deployment=deployment, run_id=run_id)
            await ask_for_end(tx, run_id, by=request.requested_by, at=at, grace_s=request.grace_s)
            run = await runs.existing(tx, run_id)
        log.info("run_termination_requested", run=run_id, state=run.state.value)
        self._core.hub.outbox.ring()
        self._core.hub.run_changed(run_id)
        return run


async def find(tx: Transaction, *, deployment: str, run_id: str) -> Run:
    """Return a run of the deployment.

    Raises:
        NotFoundError: There is none.
    """
    run = await runs.get(tx, run_id)
    if run is None or run.deployment != deployment:
        raise no_such_run(run_id, deployment=deployment)
    return run


def run_request(request: api.LaunchRunRequest) -> RunRequest:
    """Return what is to be executed, under the caller's run id or a new one."""
    return RunRequest(
        run=RunRef(run_id=request.run_id.lower() or str(uuid4()), attempt=1),
        location=request.location,
        job_name=request.job_name,
        run_config_json=request.run_config_json,
        op_selection=request.op_selection,
        asset_selection=request.asset_selection,
        check_selection=request.check_selection,
        has_check_selection=request.has_check_selection,
        partition_key=request.partition_key,
        tags=request.tags,
    )
