"""Lets `python -m isthmus_cli` stand for the command."""

from isthmus_cli.main import main

main()
