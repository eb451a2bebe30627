"""Builds the tree of commands from functions of one options object each."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from enum import Enum
from functools import partial
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import click

from isthmus_cli.options import Argument, Option, Options, PrintOptions, ServerOptions

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_Options = TypeVar("_Options", bound=Options)

_PLACE = re.compile(r"-[0-9]{1,9}")
#: Stands before a place such as -1 while options are told from arguments.
_SHIELD = "\N{WORD JOINER}"

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command that shows examples, and that takes `-1` for an argument where it may be one."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), takes_places: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples
        self._takes_places = takes_places

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Tell options from arguments."""
        if self._takes_places:
            args = [_SHIELD + word if _PLACE.fullmatch(word) else word for word in args]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are typed."""
        super().format_epilog(ctx, formatter)
        if self._examples:
            with formatter.section("Examples"):
                for line in self._examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """Commands of one subject, or all; a module that holds some is imported when one of them is asked for.

    A place is `module:attribute`, or a module alone, which registers the command as it is imported.
    """

    def __init__(self, *args: Any, places: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", CONTEXT)
        kwargs.setdefault("no_args_is_help", True)
        super().__init__(*args, **kwargs)
        self._places = dict(places or {})
        self._aliases: dict[str, str] = {}

    def alias(self, name: str, *, of: str) -> None:
        """Let a command be called by another name, which the help leaves out."""
        self._aliases[name] = of

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Name the commands in the order in which they were made."""
        return list(dict.fromkeys((*self._places, *self.commands)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, by its name or an alias."""
        name = self._aliases.get(cmd_name, cmd_name)
        if name in self._places:
            place, _, attribute = self._places[name].partition(":")
            module = import_module(place)
            if attribute:
                found = getattr(module, attribute)
                return found if isinstance(found, click.Command) else None
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the words; one that there is not is refused with near names."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(name, [*self.list_commands(ctx), *self._aliases], n=3, cutoff=0.6)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"There is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


def command(
    app: click.Group, name: str, *, options: type[_Options], examples: Sequence[str] = ()
) -> Callable[[Callable[[_Options], None]], None]:
    """Register a function of one options object as a command; its docstring is the help."""

    def register(function: Callable[[_Options], None]) -> None:
        app.add_command(built(name, function, options=options, examples=examples))

    return register


def built(
    name: str, function: Callable[[_Options], None], *, options: type[_Options], examples: Sequence[str] = ()
) -> click.Command:
    """Build a command of a function of one options object."""

    def run(**values: Any) -> None:
        function(options(**_with_defaults_of(click.get_current_context(), values=values)))

    written = _written_of(options)
    return Command(
        name,
        callback=run,
        help=inspect.getdoc(function),
        params=[_parameter(field, annotation=hint, written=how) for field, hint, how in written],
        examples=examples,
        takes_places=any(isinstance(how, Argument) and how.takes_places for _, _, how in written),
        context_settings=CONTEXT,
    )


def _with_defaults_of(context: click.Context, *, values: dict[str, Any]) -> dict[str, Any]:
    """Fill in what was said before the command's name, as in `isthmus --server X run list`."""
    given = {key: _plain(value) for key, value in values.items()}
    said = context.find_object(ServerOptions)
    if said is None or "server" not in given:
        return given
    shared = {key: getattr(said, key) for key in ("server", "deployment") if given[key] is None}
    return {**given, **shared}


def _plain(value: Any) -> Any:
    """Return a value as options classes have it: a list of several, and a place without its shield."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.removeprefix(_SHIELD) if type(value) is str else value


def _written_of(options: type[Options]) -> list[tuple[Field[Any], Any, Argument | Option]]:
    """Tell each field with its type and how it is written; what all commands share comes last in the help."""
    hints = get_type_hints(options, include_extras=True)
    shared = {field.name for field in fields(PrintOptions)}
    ordered = sorted(fields(options), key=lambda field: field.name in shared)
    found = []
    for field in ordered:
        annotation, *extras = get_args(hints[field.name])
        found.append((field, annotation, next(extra for extra in extras if isinstance(extra, Argument | Option))))
    return found


def _parameter(field: Field[Any], *, annotation: Any, written: Argument | Option) -> click.Parameter:
    kind, is_many = _kind_of(annotation)
    is_required = field.default is MISSING and field.default_factory is MISSING
    shared: dict[str, Any] = {"required": is_required}
    if not is_required and not is_many:
        shared["default"] = field.default.value if isinstance(field.default, Enum) else field.default
    if written.completes:
        shared["shell_complete"] = partial(_complete, written.completes)
    if isinstance(written, Argument):
        kinds = {"type": _click_type(kind), "nargs": -1 if is_many else 1, "metavar": written.metavar}
        return _Argument([field.name], help=written.help, **kinds, **shared)
    if kind is bool:
        shared["is_flag"] = True
    else:
        shared |= {"type": _click_type(kind, option=written), "multiple": is_many, "metavar": written.metavar}
    return click.Option(
        [*(written.flags.split() or [f"--{field.name.replace('_', '-')}"]), field.name],
        help=written.help,
        envvar=written.envvar,
        show_default=written.show_default and kind is not bool and bool(shared.get("default")),
        **shared,
    )


class _Argument(click.Argument):
    """An argument that the help explains."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        explanation = kwargs.pop("help", "")
        super().__init__(*args, **kwargs)
        self.help = explanation

    def make_metavar(self, ctx: click.Context) -> str:  # noqa: ARG002 - click passes it
        """Show it in brackets when it may be left out."""
        name = self.metavar or self.name or ""
        return name if self.required or name.startswith("[") else f"[{name}]"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Explain it."""
        return self.make_metavar(ctx), self.help or ""


class _Values(click.Choice[Any]):
    """A choice of an enum's values."""

    def normalize_choice(self, choice: Any, ctx: click.Context | None) -> str:  # noqa: ARG002 - click passes it
        """Write a choice as its value."""
        return str(choice.value if isinstance(choice, Enum) else choice)


def _kind_of(annotation: Any) -> tuple[type, bool]:
    """Return the type of a value, and whether the field takes several."""
    if get_origin(annotation) in (list, tuple):
        return get_args(annotation)[0], True
    if get_origin(annotation) in (Union, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not type(None)), False
    return annotation, False


def _click_type(kind: type, *, option: Option | None = None) -> click.ParamType[Any] | type:
    if issubclass(kind, Enum):
        return _Values(tuple(kind))
    if kind is Path:
        return click.Path(path_type=Path)
    low, high = (option.min, option.max) if option else (None, None)
    if low is high is None:
        return kind
    if kind is int:
        return click.IntRange(min=None if low is None else int(low), max=None if high is None else int(high))
    return click.FloatRange(low, high)


def _complete(
    what: str, context: click.Context, _parameter: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    from isthmus_cli.completion import completions

    return completions(what, context=context, incomplete=incomplete)
