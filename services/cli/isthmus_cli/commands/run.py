"""`isthmus run …`: ask for runs, look at them, end them. The commands register themselves as their modules are imported."""

from isthmus_cli.commands import run_end, run_launch, run_look
from isthmus_cli.commands.run_group import app

__all__ = ["app", "run_end", "run_launch", "run_look"]

#: What is used most comes first in the help.
_ORDER = ("launch", "watch", "list", "show", "why", "logs", "cancel", "rerun", "delete", "validate")

app.commands = {name: app.commands[name] for name in _ORDER}
app.alias("terminate", of="cancel")
app.alias("reexecute", of="rerun")
