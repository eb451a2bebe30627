"""The command `isthmus`: its tree of commands, and the one place where errors become text and exit codes."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from isthmus_cli.commands import agent, location, root, run
from isthmus_cli.options import ServerOptions
from isthmus_cli.terminal import tolerate_encodings

app = typer.Typer(
    name="isthmus",
    help="Orchestrate Dagster projects across environments: the control plane decides, agents execute.",
    no_args_is_help=True,
    # Rich's help costs more start-up time than all else that --help does.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(run.app)
app.add_typer(location.app)
app.add_typer(agent.app)
app.command(
    "dev",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)(root.dev)
app.command("version")(root.version)


@app.callback()
def _global_options(
    context: typer.Context,
    *,
    server: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address of the control plane.")] = None,
    deployment: Annotated[str | None, typer.Option(metavar="NAME", help="The deployment.")] = None,
) -> None:
    context.obj = ServerOptions(server=server, deployment=deployment)


def main() -> NoReturn:
    """Run the command line and exit; docs/cli.md states the exit codes."""
    # gRPC's core writes warnings of its own to stderr, as of each refused connection.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    tolerate_encodings(sys.stdout, sys.stderr)
    from isthmus_client.errors import ClientError

    from isthmus_cli.exit_code import ExitCode, exit_code_of

    try:
        _run()
    except ClientError as error:
        _complain(error)
        sys.exit(exit_code_of(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough, as in `| head`; nothing must be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.OK)


def _run() -> None:
    """Run the app; of several errors that came together, as from locations that load side by side, raise the first."""
    try:
        app()
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


def _complain(error: Exception) -> None:
    from isthmus_client.errors import ClientError

    from isthmus_cli.view.output import note

    note(f"Error: {error}")
    if isinstance(error, ClientError) and error.remedy:
        note(error.remedy)
