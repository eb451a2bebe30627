"""Entry of `isthmus dev`, which executes `python -m isthmus_dev`."""

import signal

# Nothing has begun while our own parts are imported: Ctrl-C ends the process then, without a traceback of the import.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from isthmus_dev.main import main

main()
