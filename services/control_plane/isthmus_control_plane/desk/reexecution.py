"""Re-execution: a new run that does again what an ended run did, or the part of it that failed."""

from uuid import uuid4

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_store.record.run import Run
from isthmus_store.retry import reexecution
from isthmus_store.retry.course import read_course
from isthmus_store.retry.reexecution import Course
from isthmus_store.state import RunState
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.runs import find
from isthmus_control_plane.dispatching.acceptance import Accepted, Acceptor, Launch
from isthmus_control_plane.errors import PreconditionError, Violation
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import unknown

_Request = api.ReexecuteRunRequest


class ReexecutionDesk:
    """Launches runs that follow runs."""

    def __init__(self, core: Core, *, acceptor: Acceptor) -> None:
        self._core = core
        self._acceptor = acceptor

    async def reexecute(self, request: _Request) -> Accepted:
        """Launch a run that does again what the parent did.

        Raises:
            NotFoundError: There is no such parent.
            PreconditionError: The parent has not ended, or left nothing to do.
            InvalidRequestError: A step is named that the parent did not plan.
        """
        refuse(rules.reexecute_run(request))
        async with self._core.database.read() as tx:
            deployment = request.deployment or DEFAULT
            parent = await find(tx, deployment=deployment, run_id=request.parent_run_id.lower())
            _require_ended(parent, request)
            wanted = await self._request(tx, parent, request)
        launch = Launch(
            deployment=deployment,
            request=wanted,
            requested_by=request.requested_by,
            is_id_given=bool(request.run_id),
        )
        return await self._acceptor.accept(launch)

    async def _request(self, tx: Transaction, parent: Run, request: _Request) -> RunRequest:
        asked = RunRequest.FromString(parent.request)
        asked.job_name = parent.job_name
        is_partial = request.strategy == _Request.STRATEGY_FROM_FAILURE or bool(request.step_keys or asked.step_keys)
        course = await read_course(tx, parent) if is_partial else Course()
        steps, tags = _steps(course, parent=parent, request=request, is_whole=not asked.step_keys)
        return reexecution.request_again(
            asked,
            run_id=request.run_id.lower() or str(uuid4()),
            step_keys=steps,
            tags=dict(request.tags) | tags,
            past=reexecution.past_runs(course, parent=asked),
        )


def _steps(course: Course, *, parent: Run, request: _Request, is_whole: bool) -> tuple[list[str], dict[str, str]]:
    """Return the steps to execute, none for all, and the tags that tell of the choice.

    Args:
        course: How far the parent came.
        parent: The run to do again.
        request: What was asked for.
        is_whole: The parent planned every step that there is; of a part, only the definitions know what is beside it.
    """
    if request.step_keys:
        known = set(course.planned) | course.begun | course.succeeded | course.skipped if is_whole else set()
        refuse(
            [
                Violation(f"step_keys[{index}]", unknown("step", name=key, known=known))
                for index, key in enumerate(request.step_keys)
                # A selection, as in "clean+", means what the definitions say; its key is one of the parent's.
                if known and key not in known and key.strip("*+") not in known
            ]
        )
        return list(request.step_keys), {reexecution.STEPS_TAG: ",".join(request.step_keys)}
    if request.strategy != _Request.STRATEGY_FROM_FAILURE:
        return [], {}
    tags = {reexecution.RESUME_TAG: "true"}
    if not course.planned:
        # It failed before it knew its steps: all of it is left to do.
        return [], tags
    unfinished = course.unfinished()
    if not unfinished:
        raise PreconditionError(
            f"runs/{parent.run_id}",
            rule="NOTHING_FAILED",
            why=f"no step of run {parent.run_id} failed or was left out: re-execute all steps, or name some.",
        )
    return unfinished, tags


def _require_ended(parent: Run, request: _Request) -> None:
    subject = f"runs/{parent.run_id}"
    if not parent.state.is_terminal:
        why = f"run {parent.run_id} has not ended: wait for its end, or cancel it first."
        raise PreconditionError(subject, rule="PARENT_NOT_ENDED", why=why)
    if request.strategy == _Request.STRATEGY_FROM_FAILURE and parent.state is RunState.SUCCEEDED:
        why = f"run {parent.run_id} succeeded: there is no failure to go on from. Re-execute all steps, or name some."
        raise PreconditionError(subject, rule="PARENT_SUCCEEDED", why=why)
