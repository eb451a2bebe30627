"""The exit code of each command and process."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from enum import IntEnum

from isthmus_cli.exit_code import ExitCode
from isthmus_lifecycle.service import EXIT_CONFIGURATION

from docs_pages.markdown import table


def exit_codes_page() -> str:
    """Return the page."""
    return "\n".join(_page())


def meanings_of(codes: type[IntEnum]) -> Mapping[int, str]:
    """Return what each exit code means: the comments `#:` above the members."""
    source = inspect.getsource(codes)
    lines = source.splitlines()
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            above = lines[node.lineno - 2].strip()
            found[int(codes[node.targets[0].id])] = above.removeprefix("#:").strip() if above.startswith("#:") else ""
    return found


def _page() -> Iterator[str]:
    yield "# Exit codes\n"
    yield "## isthmus\n"
    yield table(["code", "meaning"], [(str(code), said) for code, said in meanings_of(ExitCode).items()])
    yield "## isthmus dev\n"
    yield table(
        ["code", "meaning"],
        [
            ("0", "A person stopped it, and everything ended in order."),
            ("1", "It could not start, or a part of it died: the reason is on the screen."),
            ("2", "The options are wrong."),
            ("130", "A second Ctrl-C ended everything at once."),
        ],
    )
    yield "## isthmus-control-plane, isthmus-monitor, isthmus-agent, isthmus-console\n"
    yield table(
        ["code", "meaning"],
        [
            ("0", "It was told to stop with SIGTERM or SIGINT, and ended in order."),
            ("1", "An error that nobody foresaw: the log has it. Starting it again may help."),
            (str(EXIT_CONFIGURATION), "A person has to mend something first, as a setting: the last line says what."),
            ("128 + n", "A second signal, of the number n, ended it at once."),
        ],
    )
    yield "## isthmus-code-server\n"
    yield table(
        ["code", "meaning"],
        [
            ("0", "`check`: the project can be loaded. `serve`: it was told to stop, or its one run is over."),
            ("1", "`check`: the project cannot be loaded. `serve`: the process that holds the definitions was lost."),
            ("2", "The options, or the configuration that the agent wrote, cannot be used."),
        ],
    )
