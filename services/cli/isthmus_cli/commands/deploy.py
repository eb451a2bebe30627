"""`isthmus deploy`: make a deployment what a file says."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from isthmus_cli.command import built
from isthmus_cli.commands.version_options import FromGit, Page
from isthmus_cli.options import Argument, Option, PrintOptions
from isthmus_cli.session import connected, run_to_end

if TYPE_CHECKING:
    from isthmus_cli.deploy import Deploy

_FILE = Path("isthmus.yaml")


@dataclass(frozen=True, kw_only=True)
class DeployOptions(PrintOptions):
    """`deploy`."""

    path: Annotated[Path, Argument(metavar="[FILE]", help="What is wanted; else isthmus.yaml.")] = _FILE
    dry_run: Annotated[bool, Option("--dry-run", help="Tell which settings would change, and change nothing.")] = False
    prune: Annotated[bool, Option("--prune", help="Remove locations and alert policies that are not in the file.")] = (
        False
    )
    reload: Annotated[bool, Option("--reload", help="Import again though nothing changed.")] = False
    from_git: FromGit = False
    commit: Annotated[
        str, Option(metavar="ID", help="Note this commit; another one than before is imported.", show_default=False)
    ] = ""
    url: Page = ""
    wait: Annotated[bool, Option("--wait/--no-wait", help="Return when all serve, or one failed to load.")] = True
    timeout: Annotated[float, Option(metavar="SECONDS", help="How long to wait.", min=0.0)] = 300.0


def _deploy(options: DeployOptions) -> None:
    """Make a deployment what a file says: its locations, the limits of its queue, and who is told of what.

    Tells what changes of the settings, each location's way to serving, and what changed of the definitions. A location that
    does not load goes on serving what it served before; so does one whose settings and commit are those of before.
    Exit code: 0 all serve, 1 one does not load.
    """
    run_to_end(_run(options))


deploy = built(
    "deploy",
    _deploy,
    options=DeployOptions,
    examples=(
        "isthmus deploy --dry-run",
        "isthmus deploy --from-git --prune",
        "isthmus --deployment staging deploy isthmus.staging.yaml",
    ),
)


async def _run(options: DeployOptions) -> int:
    from isthmus_cli.deploy import carry_out, planned

    order = _order(options)
    async with connected(options) as client:
        if not options.dry_run:
            return await carry_out(client, order, is_json=options.is_json)
        intended = await planned(client, order)
    if options.is_json:
        import json

        from isthmus_cli.view.deployment import plan_document
        from isthmus_cli.view.output import print_json

        print_json(json.dumps(plan_document(intended), indent=2))
        return 0
    from isthmus_cli.view.deployment import plan_lines
    from isthmus_cli.view.output import note, print_lines
    from isthmus_cli.view.paint import Paint

    print_lines(plan_lines(intended, paint=Paint.of()))
    what = "Nothing was changed: --dry-run." if intended.changes_something else "Nothing would change."
    note(f"{what} What changes of the definitions is known once they are loaded.")
    return 0


def _order(options: DeployOptions) -> "Deploy":
    from isthmus_cli.code_version import code_version
    from isthmus_cli.deploy import Deploy
    from isthmus_cli.location_file import read_project_file

    wanted = read_project_file(options.path, needs_locations=True)
    version = code_version(
        commit=options.commit,
        url=options.url,
        folder=options.path.resolve().parent if options.from_git else None,
        environment=os.environ,
    )
    return Deploy(
        wanted=wanted,
        code_version=version,
        is_pruned=options.prune,
        is_reload=options.reload,
        timeout_s=options.timeout if options.wait else None,
    )
