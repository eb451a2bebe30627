"""The group of commands that `isthmus run` is. A command's module registers it when it is imported."""

from isthmus_cli.command import Group

#: What is used most comes first in the help.
_MODULES = {
    "launch": "launch",
    "watch": "look",
    "list": "list",
    "show": "look",
    "why": "look",
    "logs": "logs",
    "cancel": "end",
    "rerun": "launch",
    "delete": "end",
    "validate": "launch",
}

app = Group(
    "run",
    help="Launch runs, watch them, look at them, end them.",
    places={name: f"isthmus_cli.commands.run_{module}" for name, module in _MODULES.items()},
)
app.alias("terminate", of="cancel")
app.alias("reexecute", of="rerun")
