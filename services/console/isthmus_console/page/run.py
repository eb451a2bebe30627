"""One run: how it goes, what happened, what it wrote, and what can be done about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from isthmus.v1.control_plane_pb2 import ReexecuteRunRequest, RunUpdate
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from isthmus_console.door.gate import session_of
from isthmus_console.errors import QueryError
from isthmus_console.site import Site, checked_form, person
from isthmus_console.upstream import closing
from isthmus_console.view.event import event_row
from isthmus_console.view.failure import failure_links
from isthmus_console.view.metadata import metadata_views

#: How long an event that a page names may take to be told, seconds: whoever watches a run that goes on is told of those to come.
_EVENT_WAIT_S: Final = 5.0
_STRATEGIES: Final = {
    "all": ReexecuteRunRequest.STRATEGY_ALL_STEPS,
    "from-failure": ReexecuteRunRequest.STRATEGY_FROM_FAILURE,
}


async def show_run(site: Site, request: Request) -> Response:
    """Show a run; its page's script asks for the events."""
    told = await site.client.explain_run(_run_id(request))
    return site.page(request, "run.html", {"told": told})


async def show_output(site: Site, request: Request) -> Response:
    """Show what a run, or one step of it, wrote; the page's script asks for the text."""
    told = await site.client.explain_run(_run_id(request))
    return site.page(request, "output.html", {"told": told, "step_key": request.query_params.get("step", "")})


async def show_event(site: Site, request: Request) -> Response:
    """Show one event whole, as a part of the page of its run."""
    update = await _event_at(site, _run_id(request), position=int(request.path_params["position"]))
    event = update.event
    kind = event.WhichOneof("body")
    told = {field.name: value for field, value in getattr(event, kind).ListFields()} if kind else {}
    facts: dict[str, object] = {
        "row": event_row(update),
        "event": event,
        "links": failure_links(told["failure"]) if "failure" in told else [],
        "metadata": metadata_views(told.get("metadata", ())),
    }
    return HTMLResponse(site.looks.part("_event.html", facts, session=session_of(request)))


async def terminate(site: Site, request: Request) -> Response:
    """Ask for the run's end."""
    await checked_form(request)
    await site.client.terminate_run(_run_id(request), requested_by=person(request))
    return RedirectResponse(f"/runs/{_run_id(request)}", status_code=303)


async def reexecute(site: Site, request: Request) -> Response:
    """Launch a run that does again what this one did, and show it."""
    form = await checked_form(request)
    name = form.get("strategy", "")
    if name not in _STRATEGIES:
        raise QueryError("strategy", value=name, remedy=f"There are: {', '.join(_STRATEGIES)}.")
    wanted = ReexecuteRunRequest(
        parent_run_id=_run_id(request),
        run_id=form.get("run_id", ""),
        strategy=_STRATEGIES[name],
        requested_by=person(request),
    )
    run = await site.client.reexecute_run(wanted)
    return RedirectResponse(f"/runs/{run.request.run.run_id}", status_code=303)


async def _event_at(site: Site, run_id: str, *, position: int) -> RunUpdate:
    """Return the event at a place of the run's history.

    Raises:
        QueryError: There is none.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_EVENT_WAIT_S), closing(_after(site, run_id, position=position - 1)) as updates:
            async for update in updates:
                if update.position:
                    return update
    raise QueryError("position", value=str(position), remedy="The run's history does not go so far.")


def _after(site: Site, run_id: str, *, position: int) -> AsyncIterator[RunUpdate]:
    return site.client.watch_run(run_id, after_position=max(position, 0))


def _run_id(request: Request) -> str:
    run_id: str = request.path_params["run_id"]
    return run_id
