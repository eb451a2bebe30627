"""Entry of `isthmus dev`, which executes `python -m isthmus_dev`."""

from isthmus_dev.main import main

main()
