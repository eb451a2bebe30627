"""The group of commands that `isthmus run` is."""

from isthmus_cli.command import Group

app = Group("run", help="Launch runs, watch them, look at them, end them.")
