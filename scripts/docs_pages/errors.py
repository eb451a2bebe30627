"""Every error with its message, its meaning and what to do, read from the packages' `errors.py`."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docs_pages.markdown import escaped
from docs_pages.remedy import REMEDIES

ROOT = Path(__file__).parents[2]
#: Who tells of the errors of a room, as a reader knows them.
ROOMS = {
    "isthmus_client": "The command line and the Python client",
    "isthmus_cli": "The command line's input",
    "isthmus_console": "The console",
    "isthmus_dev": "isthmus dev",
    "isthmus_control_plane": "The control plane",
    "isthmus_store": "The database",
    "isthmus_monitor": "The monitor",
    "isthmus_agent": "The agent",
    "isthmus_code_server": "The code server, and runs",
    "isthmus_spool": "Files of runs",
    "isthmus_broker": "The broker",
}


@dataclass(frozen=True)
class KnownError:
    """One class of errors, for people."""

    room: str
    name: str
    meaning: str
    #: What it says, with the names of what is filled in; empty where who raises it words it.
    messages: tuple[str, ...]
    remedy: str


def errors_page() -> str:
    """Return the page."""
    return "\n".join(_page())


def known_errors() -> list[KnownError]:
    """Return every error of every package but those that only stand above others."""
    found: list[KnownError] = []
    for path in sorted([*ROOT.glob("*/isthmus_*/**/errors.py"), *ROOT.glob("services/*/isthmus_*/**/errors.py")]):
        room = next(part for part in path.parts if part.startswith("isthmus_"))
        found.extend(_errors_in(ast.parse(path.read_text(encoding="utf-8")), room=room))
    return found


def _page() -> Iterator[str]:
    yield "# Errors\n"
    yield (
        "What the command line, the services and user code can be told, by who tells it. Look for the words of your message with the search above. What stands "
        "in *italics* is filled in. What to do stands in the message itself, or below it; [Troubleshooting](../troubleshooting.md) goes by what you see.\n"
    )
    errors = known_errors()
    for room, title in ROOMS.items():
        yield f"## {title}\n"
        for error in (one for one in errors if one.room == room):
            yield f"### {error.name} {{ #{room}-{error.name.lower()} }}\n"
            yield from (f"> {message}\n" for message in error.messages)
            yield f"{escaped(error.meaning)}\n"
            if error.remedy:
                yield f"**What to do:** {error.remedy}\n"


def _errors_in(module: ast.Module, *, room: str) -> Iterator[KnownError]:
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    above = {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}
    for node in classes:
        said = list(_said(node))
        if node.name.endswith("Error") and (said or node.name not in above):
            meaning = (ast.get_docstring(node) or "").partition("\n\n")[0]
            messages = tuple(text for is_remedy, text in said if not is_remedy)
            remedy = " ".join(text for is_remedy, text in said if is_remedy) or REMEDIES.get(f"{room}.{node.name}", "")
            yield KnownError(room, node.name, " ".join(meaning.split()), messages, remedy)


def _said(node: ast.ClassDef) -> Iterator[tuple[bool, str]]:
    """Return the texts that a class hands on to its base, and whether each is a remedy."""
    for function in node.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        texts = {
            name: [one.value for one in ast.walk(function) if isinstance(one, ast.Assign) and _target(one) == name]
            for name in {_target(one) for one in ast.walk(function) if isinstance(one, ast.Assign)}
        }
        for call in ast.walk(function):
            if isinstance(call, ast.Assign) and ast.unparse(call.targets[0]) == "self.remedy":
                yield from ((True, text) for text in _texts(call.value, texts))
            if isinstance(call, ast.Call) and _is_construction(call):
                arguments = [(False, argument) for argument in call.args[:1]]
                arguments += [(True, word.value) for word in call.keywords if word.arg == "remedy"]
                for is_remedy, argument in arguments:
                    yield from ((is_remedy, text) for text in _texts(argument, texts))


def _target(node: ast.Assign) -> str:
    return node.targets[0].id if isinstance(node.targets[0], ast.Name) else ""


def _is_construction(call: ast.Call) -> bool:
    return ast.unparse(call.func) in {"super().__init__", "cls"}


def _texts(node: ast.expr, texts: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Return what an expression may say: of a name, all that is given to it."""
    if isinstance(node, ast.Name):
        for value in texts.get(node.id, []):
            yield from _texts(value, {})
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, texts)
        yield from _texts(node.orelse, texts)
    elif isinstance(node, ast.JoinedStr | ast.Constant):
        yield _text(node)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"<em>{_placeholder(node.value)}</em>"
    return escaped(str(node.value)) if isinstance(node, ast.Constant) and isinstance(node.value, str) else "<em>…</em>"


def _placeholder(node: ast.expr) -> str:
    """Return a word for what is filled in."""
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return name.replace("_", " ").strip()
    return "…"
