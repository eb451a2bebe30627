"""Asks before something is gone for good, and deletes runs."""

import sys
from collections.abc import Iterable, Sequence

import click
from isthmus.v1.control_plane_pb2 import Run, RunState
from isthmus_client.client import ControlPlaneClient

from isthmus_cli.document import enum_text
from isthmus_cli.errors import InputError
from isthmus_cli.run_name import brief_id
from isthmus_cli.run_request import person
from isthmus_cli.terminal import terminal_line
from isthmus_cli.view.output import note, print_json
from isthmus_cli.view.run import target_text
from isthmus_cli.view.text import age_text, count_text


def confirm_deletion(runs: Sequence[Run]) -> None:
    """Ask whether the runs are to be deleted; raises InputError when nobody can be asked, click.Abort for a no."""
    _confirm(f"Delete {count_text(len(runs), 'run')} for good?", doing="Deleting", of=map(_described, runs))


def confirm_wipe(asset: str, *, partitions: Sequence[str]) -> None:
    """Ask whether what was told of an asset is to be forgotten; raises what `confirm_deletion` raises."""
    what = f"{count_text(len(partitions), 'partition')} of {asset}" if partitions else f"{asset} and of its checks"
    _confirm(f"Forget what was told of {what} for good?", doing="Wiping")


def _confirm(question: str, *, doing: str, of: Iterable[str] = ()) -> None:
    """Ask, below what it is about."""
    if not sys.stdin.isatty():
        raise InputError(f"{doing} is for good, and there is nobody to ask.", remedy="Say --yes.")
    for line in of:
        note(f"  {line}")
    click.confirm(terminal_line(question, is_colored=False), abort=True, err=True)


async def delete_runs(client: ControlPlaneClient, runs: Sequence[Run], *, is_json: bool) -> int:
    """Delete runs one by one, and tell of each."""
    for run in runs:
        await client.delete_run(run.request.run.run_id, requested_by=person())
        if not is_json:
            note(f"Deleted run {brief_id(run.request.run.run_id)}.")
    if is_json:
        print_json("{}")
    return 0


def _described(run: Run) -> str:
    state = enum_text(run.state, descriptor=RunState.DESCRIPTOR)
    facts = (brief_id(run.request.run.run_id), target_text(run), state, age_text(run.queued_at))
    return terminal_line("  ".join(facts), is_colored=False)
