"""Commands whose options are one frozen dataclass, and the options that commands share.

Typer wants one parameter per option; a command here takes a dataclass, whose fields are annotated as Typer's parameters
would be. Options that all commands share come last in the help.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

_Options = TypeVar("_Options", bound="Options")


class OutputFormat(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, kw_only=True)
class Options:
    """A command's options. Subclasses are frozen dataclasses; their fields carry Typer's annotations."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """Which control plane, and which deployment of it."""

    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="HOST:PORT",
            help="Address of the control plane [env: ISTHMUS_SERVER; else a running `isthmus dev`; else 127.0.0.1:7070].",
        ),
    ] = None
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", metavar="NAME", help="The deployment [env: ISTHMUS_DEPLOYMENT; else default]."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PrintOptions(ServerOptions):
    """The options of a command that prints."""

    output: Annotated[
        OutputFormat,
        typer.Option("-o", "--output", help="table is for people; json has stable field names."),
    ] = OutputFormat.TABLE

    @property
    def is_json(self) -> bool:
        """Whether to print for scripts."""
        return self.output is OutputFormat.JSON


def command(app: typer.Typer, name: str, *, options: type[_Options]) -> Callable[[Callable[[_Options], None]], None]:
    """Register a function of one options object as a command; its docstring is the help."""

    def register(function: Callable[[_Options], None]) -> None:
        def run(**values: Any) -> None:
            context: typer.Context = values.pop("context")
            function(options(**_with_defaults_of(context, values=values)))

        run.__doc__ = function.__doc__
        parameters = [_parameter("context", annotation=typer.Context), *_parameters(options)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name)(run)

    return register


def _with_defaults_of(context: typer.Context, *, values: dict[str, Any]) -> dict[str, Any]:
    """Fill in what was said before the command's name, as in `isthmus --server X run list`."""
    said = context.find_object(ServerOptions)
    if said is None or "server" not in values:
        return values
    shared = {key: getattr(said, key) for key in ("server", "deployment") if values[key] is None}
    return {**values, **shared}


def _parameters(options: type[_Options]) -> list[inspect.Parameter]:
    hints = get_type_hints(options, include_extras=True)
    shared = {field.name for field in fields(PrintOptions)}
    ordered = sorted(fields(options), key=lambda field: field.name in shared)
    return [
        _parameter(
            field.name,
            annotation=hints[field.name],
            default=field.default_factory() if field.default_factory is not MISSING else field.default,
        )
        for field in ordered
    ]


def _parameter(name: str, *, annotation: Any, default: Any = MISSING) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=annotation,
    )
