"""`isthmus branch …`: deployments for branches of the code, beside another deployment and on its agents."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import Group, command
from isthmus_cli.commands.version_options import FromGit, Page
from isthmus_cli.options import Argument, ListingOptions, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus_client.branches import NewBranch

app = Group("branch", help="Make deployments for branches of the code, look at them, and delete them.")

BranchName = Annotated[str, Argument(metavar="BRANCH", help="The branch's name, as in pr-17.")]


@dataclass(frozen=True, kw_only=True)
class OneBranchOptions(PrintOptions):
    """A command about one branch deployment."""

    name: BranchName


@dataclass(frozen=True, kw_only=True)
class CreateOptions(OneBranchOptions):
    """`branch create`."""

    pool: Annotated[str, Option(metavar="POOL", help="Agents of this pool serve it; else all.", show_default=False)] = (
        ""
    )
    expires: Annotated[
        str, Option(metavar="TIME", help="Delete it after so long, as in 12h or 7d; else never.", show_default=False)
    ] = ""
    max_runs: Annotated[
        int | None, Option(metavar="N", help="So many runs at once at the most.", min=0, show_default=False)
    ] = None
    from_git: FromGit = False
    commit: Annotated[str, Option(metavar="ID", help="Note this commit.", show_default=False)] = ""
    url: Page = ""


@dataclass(frozen=True, kw_only=True)
class DeleteOptions(OneBranchOptions):
    """`branch delete`."""

    end_runs: Annotated[bool, Option("--end-runs", help="End the runs that live in it.")] = False
    wait: Annotated[bool, Option("--wait/--no-wait", help="Return when nothing of it is left.")] = True
    timeout: Annotated[float, Option(metavar="SECONDS", help="How long to wait.", min=0.0)] = 300.0


@command(
    app,
    "create",
    options=CreateOptions,
    examples=(
        "isthmus branch create pr-17 --from-git --expires 7d",
        "isthmus branch create trial --pool ci --max-runs 2",
    ),
)
def create(options: CreateOptions) -> None:
    """Make a deployment for a branch: runs, limits and history of its own, on the agents of the deployment that it belongs to.

    Its schedules and sensors rest until somebody starts them. Repeating it takes commit and time anew.
    """
    run_to_end(_create(options))


async def _create(options: CreateOptions) -> int:
    from isthmus_cli.run_request import person
    from isthmus_cli.view.branch import branch_lines
    from isthmus_cli.view.output import note, print_document, print_lines
    from isthmus_cli.view.paint import Paint

    wanted = _wanted(options)
    async with connected(options) as client:
        branch = await client.create_branch(wanted, requested_by=person())
    if options.is_json:
        print_document(branch)
        return 0
    print_lines(branch_lines(branch, paint=Paint.of()))
    note(f"Deploy to it: isthmus --deployment {branch.deployment} deploy")
    return 0


def _wanted(options: CreateOptions) -> "NewBranch":
    from isthmus_client.branches import NewBranch

    from isthmus_cli.code_version import code_version
    from isthmus_cli.duration import seconds_of

    version = code_version(
        commit=options.commit,
        url=options.url,
        folder=Path.cwd() if options.from_git else None,
        environment=os.environ,
    )
    return NewBranch(
        name=options.name,
        pool=options.pool,
        code_version=version,
        expires_after_s=seconds_of(options.expires) if options.expires else 0.0,
        max_runs=options.max_runs,
    )


@command(app, "list", options=ListingOptions)
def list_branches(options: ListingOptions) -> None:
    """List the branch deployments: of which commit, who serves them, and when they end."""
    run_to_end(_list(options))


async def _list(options: ListingOptions) -> int:
    from isthmus_cli.view.branch import branch_table
    from isthmus_cli.view.output import note, print_documents, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        branches = await client.list_branches()
    if options.is_json:
        print_documents(branches)
    elif branches:
        print_lines(branch_table(branches, paint=Paint.of(), room=options.room))
    else:
        note("There are no branch deployments. Make one: isthmus branch create NAME; docs/deploy.md has examples.")
    return 0


@command(app, "show", options=OneBranchOptions)
def show(options: OneBranchOptions) -> None:
    """Tell of one branch deployment, and what its deletion waits for."""
    run_to_end(_show(options))


async def _show(options: OneBranchOptions) -> int:
    from isthmus_cli.view.branch import branch_lines
    from isthmus_cli.view.output import print_document, print_lines
    from isthmus_cli.view.paint import Paint

    async with connected(options) as client:
        branch = await client.get_branch(options.name)
    if options.is_json:
        print_document(branch)
    else:
        print_lines(branch_lines(branch, paint=Paint.of()))
    return 0


@command(
    app,
    "delete",
    options=DeleteOptions,
    examples=("isthmus branch delete pr-17", "isthmus branch delete pr-17 --end-runs --no-wait"),
)
def delete(options: DeleteOptions) -> None:
    """Delete a branch deployment with all that is its own: runs, schedules, locations, queues, processes and containers.

    Refused while runs live in it, without --end-runs.
    Exit code: 0 nothing of it is left, 1 something is after the time.
    """
    run_to_end(_delete(options))


async def _delete(options: DeleteOptions) -> int:
    from isthmus_cli.branch_end import wait_until_gone
    from isthmus_cli.run_request import person
    from isthmus_cli.view.output import note, print_document

    async with connected(options) as client:
        branch = await client.delete_branch(options.name, end_runs=options.end_runs, requested_by=person())
        left = await wait_until_gone(client, branch, timeout_s=options.timeout) if options.wait else branch
    if options.is_json:
        print_document(left or branch)
    elif left is None:
        note(f"Deleted branch {branch.name}: nothing of {branch.deployment} is left.")
    else:
        note(f"Branch {branch.name} is being deleted; it waits for {left.waits_for}.")
    return 1 if options.wait and left is not None else 0
