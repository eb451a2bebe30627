"""The command `isthmus-code-server`: `serve` answers for a project, `check` only tells whether it can be loaded.

Next to nothing is imported before the zygote is started: it has the most to import.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from isthmus_code_server.runs.zygote_process import ZygoteProcess

_EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    return _serve(options.config) if options.command == "serve" else _check(options)


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


def _serve(config: Path) -> int:
    zygote = ZygoteProcess.start()
    # Imported beside the framework, which the zygote imports meanwhile.
    from isthmus_code_server.config import read_settings
    from isthmus_code_server.errors import ConfigError

    try:
        settings = read_settings(config)
    except ConfigError as error:
        zygote.abandon()
        sys.stderr.write(f"{error}\n")
        return _EXIT_USAGE
    zygote.load(settings.load_order)
    from isthmus_code_server.kernel.process import Ending, end
    from isthmus_code_server.serve import serve

    return end(Ending(exit_code=serve(settings, zygote)))


def _check(options: argparse.Namespace) -> int:
    from isthmus_code_server.check import check
    from isthmus_code_server.definitions.source import DefinitionsSource

    source = DefinitionsSource(
        module=options.module,
        python_file=_absolute(options.python_file),
        package=options.package,
        attribute=options.attribute,
        working_directory=_absolute(options.working_directory),
    )
    return check(source)


def _absolute(path: str) -> str:
    """Return what a path means before the project's own directory becomes the current one."""
    return str(Path(path).absolute()) if path else ""


if __name__ == "__main__":
    sys.exit(main())
