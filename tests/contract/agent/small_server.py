"""A process that stands where a code server would: it does what its environment tells it, and nothing else."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


def main() -> None:
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    note = Path(os.environ["NOTE"])
    if os.environ.get("SAY"):
        sys.stdout.write(os.environ["SAY"])
        sys.stdout.flush()
    if os.environ.get("EXIT"):
        sys.exit(int(os.environ["EXIT"]))
    if os.environ.get("EAT"):
        # More than its container may use, page by page so that all of it is really there.
        eaten = [b"x" * 1_000_000 for _ in range(int(os.environ["EAT"]))]
        sys.exit(len(eaten) == 0)
    if os.environ.get("STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = None
    if os.environ.get("CHILD"):
        # In a session of its own, as user code may do: neither a group nor a parent's death reaches it.
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    facts = {"pid": os.getpid(), "child": child.pid if child else None, "env": dict(os.environ), "config": config}
    draft = note.with_suffix(".new")
    draft.write_text(json.dumps(facts))
    draft.rename(note)
    while True:
        signal.pause()


main()
