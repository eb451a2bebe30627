"""Completes the names of jobs, assets, runs, locations, agents, schedules and sensors: soon, or not at all, and without a word."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import click
from click.shell_completion import CompletionItem
from isthmus.v1.control_plane_pb2 import (
    AUTOMATION_KIND_SENSOR,
    ListAssetsRequest,
    ListBackfillsRequest,
    ListRunsQuery,
    Location,
    RunState,
)
from isthmus_client.client import ControlPlaneClient
from isthmus_client.discovery import locate_server

from isthmus_cli.document import enum_text
from isthmus_cli.reach import is_refused
from isthmus_cli.run_name import brief_id
from isthmus_cli.view.run import target_text
from isthmus_cli.view.text import asset_text, brief_age

#: A person who pressed the key waits no longer, seconds.
_DEADLINE_S = 1.5
_RUNS, _ASSETS = 30, 500

_Source = Callable[[ControlPlaneClient, click.Context], Awaitable[Iterable[CompletionItem]]]


def completions(what: str, *, context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return what a word may become; nothing when no control plane answers soon."""
    # Of a list, the last name is the one that is typed.
    done, comma, begun = incomplete.rpartition(",") if what == "assets" else ("", "", incomplete)
    found = [item for item in _found(what, context) if str(item.value).startswith(begun)]
    return [CompletionItem(f"{done}{comma}{item.value}", help=item.help) for item in found]


def _found(what: str, context: click.Context) -> Sequence[CompletionItem]:
    if what == "states":
        names = (enum_text(state, descriptor=RunState.DESCRIPTOR) for state in RunState.values()[1:])
        return [CompletionItem(name.lower()) for name in names]
    try:
        return asyncio.run(_ask(_SOURCES[what], context))
    except Exception:  # noqa: BLE001 - the boundary of a key press: whatever goes wrong, the line that is typed stays whole
        return []


async def _ask(source: _Source, context: click.Context) -> list[CompletionItem]:
    said = _said(context)
    address = locate_server(said.get("server")).address
    if is_refused(address):
        return []
    deployment = said.get("deployment") or os.environ.get("ISTHMUS_DEPLOYMENT") or "default"
    async with asyncio.timeout(_DEADLINE_S), ControlPlaneClient(address, deployment=deployment) as client:
        return list(await source(client, context))


def _said(context: click.Context) -> Mapping[str, str]:
    """Return what was said of the control plane, before or after the command's name."""
    found: dict[str, str] = {}
    one: click.Context | None = context
    while one is not None:
        found = {key: one.params[key] for key in ("server", "deployment") if one.params.get(key)} | found
        one = one.parent
    return found


async def _runs(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    page = await client.list_runs(ListRunsQuery(page_size=_RUNS))
    items = [CompletionItem("latest")] if page.runs else []
    for run in page.runs:
        state = enum_text(run.state, descriptor=RunState.DESCRIPTOR)
        about = f"{target_text(run)} {state} {brief_age(run.queued_at)}"
        items.append(CompletionItem(brief_id(run.request.run.run_id), help=about))
    return items


async def _locations(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    return [CompletionItem(location.settings.name) for location in await client.list_locations()]


async def _agents(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    return [CompletionItem(agent.name) for agent in await client.list_agents()]


async def _schedules(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    found = await client.list_automations()
    return [CompletionItem(it.name, help=", ".join(it.cron_schedules) or None) for it in found]


async def _sensors(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    found = await client.list_automations(kind=AUTOMATION_KIND_SENSOR)
    return [CompletionItem(it.name, help=it.description or None) for it in found]


async def _targets(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    """Complete the first word of a launch: a location, or a job of any."""
    whole = await _whole_locations(client, named="")
    return [CompletionItem(each.settings.name, help="location") for each in whole] + _jobs_of(whole)


async def _jobs(client: ControlPlaneClient, context: click.Context) -> list[CompletionItem]:
    return _jobs_of(await _whole_locations(client, named=context.params.get("first") or ""))


async def _assets(client: ControlPlaneClient, context: click.Context) -> list[CompletionItem]:
    whole = await _whole_locations(client, named=context.params.get("first") or "")
    return [CompletionItem(asset_text(asset.key)) for each in whole for asset in each.snapshot.assets]


async def _catalog(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    page = await client.list_assets(ListAssetsRequest(page_size=_ASSETS))
    return [CompletionItem(asset_text(it.key), help=it.group or None) for it in page.assets]


async def _backfills(client: ControlPlaneClient, _context: click.Context) -> list[CompletionItem]:
    page = await client.list_backfills(ListBackfillsRequest(page_size=_RUNS))
    return [
        CompletionItem(it.backfill_id, help=f"{it.job_name or it.location} {brief_age(it.created_at)}")
        for it in page.backfills
    ]


def _jobs_of(locations: Iterable[Location]) -> list[CompletionItem]:
    jobs = [job for each in locations for job in each.snapshot.jobs if not job.is_implicit_asset_job]
    return [CompletionItem(job.name, help=job.description.partition("\n")[0] or None) for job in jobs]


async def _whole_locations(client: ControlPlaneClient, *, named: str) -> list[Location]:
    """Return the location of a name, or all, with what they define."""
    names = [location.settings.name for location in await client.list_locations()]
    wanted = [named] if named in names else names
    return [await client.get_location(name) for name in wanted]


_SOURCES: Mapping[str, _Source] = {
    "runs": _runs,
    "locations": _locations,
    "agents": _agents,
    "schedules": _schedules,
    "sensors": _sensors,
    "targets": _targets,
    "jobs": _jobs,
    "assets": _assets,
    "catalog": _catalog,
    "backfills": _backfills,
}
