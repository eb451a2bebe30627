"""Finds loops of async code that can go round without a pause: one such loop takes the event loop for itself.

Where the pause cannot be seen from the loop alone, a comment behind its `while` says what it is: `# pauses: ...`.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

#: What takes time, or ends the loop, by the name of what is awaited: waits, and whatever another party has to answer.
_PAUSES = re.compile(
    r"_?sleep|_?wait\w*|get|put|_?take|join|acquire|_?gather|select|connect\w*|_?read\w*|(sock_)?recv\w*|accept|drain|anext"
    r"|to_thread|run_in_executor|until_\w+|_?next_\w+|_?pause\w*"
)

_SAID = "# pauses: "


def spinning_loops(source: str) -> Iterator[int]:
    """Give the line of each endless loop of a coroutine that has a way round without a pause."""
    lines = source.splitlines()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.AsyncFunctionDef):
            for loop in _loops(function.body):
                if _is_endless(loop) and not _pauses(loop) and _SAID not in lines[loop.lineno - 1]:
                    yield loop.lineno


def python_files(roots: Iterable[Path]) -> Iterator[Path]:
    """Give the modules below folders that people write."""
    return (path for root in roots for path in sorted(root.rglob("*.py")) if "_pb2" not in path.name)


def _loops(body: Sequence[ast.stmt]) -> Iterator[ast.While]:
    """Give the loops of one function, without those of functions inside it."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(statement, ast.While):
            yield statement
        for inner in ast.iter_child_nodes(statement):
            if isinstance(inner, ast.stmt):
                yield from _loops([inner])
            elif isinstance(inner, ast.ExceptHandler | ast.match_case):
                yield from _loops(inner.body)


def _is_endless(loop: ast.While) -> bool:
    """Whether nothing that the loop itself takes away ends it: `while True`, `while not stopping`."""
    test = loop.test
    return (isinstance(test, ast.Constant) and bool(test.value)) or (
        isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    )


def _pauses(loop: ast.While) -> bool:
    return _awaits_pause(loop.test) or _Way().walk(loop.body, has_paused=False) <= {True}


class _Way:
    """Follows every way through a loop's body, and notes whether it had paused where it began anew."""

    def __init__(self) -> None:
        self._again: set[bool] = set()

    def walk(self, body: Sequence[ast.stmt], *, has_paused: bool) -> set[bool]:
        """Return how the ways round are: `{True}` when each pauses, nothing when none goes round."""
        return self._body(body, {has_paused}) | self._again

    def _body(self, body: Sequence[ast.stmt], states: set[bool]) -> set[bool]:
        for statement in body:
            if not states:
                break
            states = self._statement(statement, states)
        return states

    def _statement(self, statement: ast.stmt, states: set[bool]) -> set[bool]:
        match statement:
            case ast.Return() | ast.Raise() | ast.Break():
                states = set()
            case ast.Continue():
                self._again |= states
                states = set()
            case ast.If(test=test, body=body, orelse=orelse):
                states = _after(test, states)
                states = self._body(body, states) | self._body(orelse, states)
            case ast.Try() | ast.TryStar():
                states = self._try(statement, states)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                # What swallows errors can leave its body before the pause.
                cut_short = states if any(_swallows(item.context_expr) for item in items) else set()
                states = self._body(body, states) | cut_short
            case ast.Match(subject=subject, cases=cases):
                states = _after(subject, states)
                states = set().union(*(self._body(case.body, states) for case in cases))
            case ast.AsyncFor():
                states = {True}
            case ast.For() | ast.While() | ast.FunctionDef() | ast.AsyncFunctionDef():
                # A loop inside may have nothing to do.
                pass
            case _:
                states = _after(statement, states)
        return states

    def _try(self, statement: ast.Try | ast.TryStar, states: set[bool]) -> set[bool]:
        well = self._body(statement.orelse, self._body(statement.body, states))
        # An error may come before the body's pause.
        failed = [self._body(handler.body, states) for handler in statement.handlers]
        return self._body(statement.finalbody, well.union(*failed))


def _after(node: ast.AST, states: set[bool]) -> set[bool]:
    return {True} if _awaits_pause(node) else states


def _awaits_pause(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Await) and _is_pause(inner.value) for inner in ast.walk(node))


def _is_pause(awaited: ast.expr) -> bool:
    match awaited:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return _PAUSES.fullmatch(name) is not None
        case ast.Name() | ast.Attribute():
            # A future or a task.
            return True
        case _:
            return False


def _swallows(expression: ast.expr) -> bool:
    match expression:
        case ast.Call(func=ast.Attribute(attr="guard")):
            return True
        case ast.Call(func=ast.Attribute(attr="suppress") | ast.Name(id="suppress"), args=args):
            # A time-out is a pause.
            return [ast.unparse(arg) for arg in args] != ["TimeoutError"]
        case _:
            return False
