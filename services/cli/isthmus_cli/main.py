"""The command `isthmus`: its tree of commands, and the one place where errors become text and exit codes."""

import os
import sys
from typing import Any, NoReturn

import click

from isthmus_cli.collector import rest_collector
from isthmus_cli.command import Group
from isthmus_cli.options import ServerOptions
from isthmus_cli.terminal import tolerate_encodings


def _version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 - click calls it so
    if is_asked and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"isthmus {version('isthmus-cli')}")
        context.exit()


@click.command(
    "isthmus",
    cls=Group,
    places={
        "dev": "isthmus_cli.commands.root:dev",
        "doctor": "isthmus_cli.commands.root:doctor",
        "run": "isthmus_cli.commands.run_group:app",
        "top": "isthmus_cli.commands.top:top",
        "queue": "isthmus_cli.commands.queue:app",
        "deploy": "isthmus_cli.commands.deploy:deploy",
        "branch": "isthmus_cli.commands.branch:app",
        "location": "isthmus_cli.commands.location:app",
        "asset": "isthmus_cli.commands.asset:app",
        "backfill": "isthmus_cli.commands.backfill:app",
        "schedule": "isthmus_cli.commands.schedule:app",
        "sensor": "isthmus_cli.commands.sensor:app",
        "agent": "isthmus_cli.commands.agent:app",
        "alert": "isthmus_cli.commands.alert:app",
        "completion": "isthmus_cli.commands.root:completion",
        "version": "isthmus_cli.commands.root:version",
    },
)
@click.option("--server", metavar="HOST:PORT", help="Address of the control plane.")
@click.option("--deployment", metavar="NAME", help="The deployment.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Tell the version.")
@click.pass_context
def app(context: click.Context, /, **shared: Any) -> None:
    """Orchestrate Dagster projects across environments: the control plane decides, agents execute."""
    context.obj = ServerOptions(**shared)


def main() -> NoReturn:
    """Run the command line and exit; docs/cli.md states the exit codes."""
    # gRPC's core writes warnings of its own to stderr, as of each refused connection.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    rest_collector()
    tolerate_encodings(sys.stdout, sys.stderr)
    try:
        sys.exit(_run_app())
    except BrokenPipeError:
        # Whoever read our output has seen enough, as in `| head`; nothing must be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _run_app() -> int:
    """Run the command line and return its exit code: what went wrong is told, and what to do about it."""
    from isthmus_client.errors import ClientError

    from isthmus_cli.exit_code import ExitCode, exit_code_of
    from isthmus_cli.file_fault import check_current_folder

    try:
        check_current_folder()
        ended = _run()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ClientError as error:
        _complain(error)
        return exit_code_of(error)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    return ended if isinstance(ended, int) else ExitCode.OK


def _run() -> Any:
    """Run the app; of several errors that came together, as from locations that load side by side, raise the first."""
    try:
        return app.main(prog_name="isthmus", standalone_mode=False)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


def _complain(error: Exception) -> None:
    from isthmus_client.errors import ClientError, InvalidRequestError

    from isthmus_cli.view.output import note

    text = str(error)
    if isinstance(error, InvalidRequestError) and error.violations:
        from isthmus_cli.view.violation import violation_text

        faults = [violation_text(it.field, description=it.description) for it in error.violations]
        text = faults[0] if len(faults) == 1 else "\n  ".join(("this is not valid:", *faults))
    note(f"Error: {text}")
    if isinstance(error, ClientError) and error.remedy:
        note(error.remedy)
