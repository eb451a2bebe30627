"""The command `isthmus-code-server`: `serve` answers for a project, `check` only tells whether it can be loaded."""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog
from isthmus.v1.telemetry_pb2 import Failure, LocationSnapshot

from isthmus_code_server.config import read_settings
from isthmus_code_server.definitions.port import DefinitionsSource
from isthmus_code_server.errors import ConfigError, DefinitionsLoadError
from isthmus_code_server.runs.zygote_process import ZygoteProcess, load_order

_EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    try:
        return _serve(options.config) if options.command == "serve" else _check(options)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isthmus-code-server", description="Serves a project's definitions and runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve a project, as an agent starts it")
    serve.add_argument("--config", type=Path, required=True, help="file with a CodeServerConfig in JSON")
    check = commands.add_parser("check", help="load a project and tell what it defines")
    target = check.add_mutually_exclusive_group(required=True)
    target.add_argument("-m", "--module", default="", help="module that holds the definitions")
    target.add_argument("-f", "--python-file", default="", help="file that holds the definitions")
    target.add_argument("-p", "--package", default="", help="package that holds the definitions")
    check.add_argument("-a", "--attribute", default="", help="name of the definitions object")
    check.add_argument("-d", "--working-directory", default="", help="what comes first on the import path")
    return parser


def _log_to_stderr() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def _serve(config: Path) -> int:
    settings = read_settings(config)
    zygote = ZygoteProcess.start(load_order(settings))
    # Imported beside the project, which the zygote imports meanwhile.
    from isthmus_code_server.serve import CodeServer

    async def serve() -> int:
        return await CodeServer(settings, zygote).run()

    return asyncio.run(serve())


def _check(options: argparse.Namespace) -> int:
    from isthmus_code_server.definitions.dagster.loading import load_definitions

    source = DefinitionsSource(
        module=options.module,
        python_file=options.python_file,
        package=options.package,
        attribute=options.attribute,
        working_directory=options.working_directory,
    )
    with tempfile.TemporaryDirectory(prefix="isthmus-check-") as home:
        try:
            definitions = load_definitions(source, Path(home))
        except DefinitionsLoadError as error:
            sys.stderr.write(_failure_text(error.failure))
            return 1
        sys.stdout.write(f"{definitions.framework}\n{_snapshot_text(definitions.describe())}")
    return 0


def _snapshot_text(snapshot: LocationSnapshot) -> str:
    names = {
        "jobs": [job.name for job in snapshot.jobs if not job.is_implicit_asset_job],
        "assets": ["/".join(asset.key.path) for asset in snapshot.assets],
        "schedules": [schedule.name for schedule in snapshot.schedules],
        "sensors": [sensor.name for sensor in snapshot.sensors],
        "resources": [resource.name for resource in snapshot.resources],
    }
    return "".join(f"{kind}: {len(found)}{_listed(found)}\n" for kind, found in names.items())


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _failure_text(failure: Failure) -> str:
    text = f"{''.join(failure.stack)}{failure.error_class}: {failure.message}\n"
    for inner in ("cause", "context"):
        if failure.HasField(inner):
            return f"{_failure_text(getattr(failure, inner))}\nThat led to:\n{text}"
    return text


if __name__ == "__main__":
    sys.exit(main())
