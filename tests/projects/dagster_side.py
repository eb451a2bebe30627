"""Executes a job the way `dagster job execute` does, and prints its facts as a last line of JSON.

`python -m projects.dagster_side JOB CONFIG TAGS`, in the project's folder, with DAGSTER_HOME set: runs in the project's own
Python, and knows nothing of Isthmus.
"""

import json
import subprocess
import sys
from pathlib import Path

from conformance.dagster_facts import Fact, facts
from dagster import DagsterInstance

_TERMINAL = frozenset({"PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED"})


def main() -> None:
    """Execute the job, in a process of its own, and tell what its run left."""
    job, config, tags = sys.argv[1:]
    Path("dagster_side_config.json").write_text(config)
    command = [sys.executable, "-m", "dagster", "job", "execute", "-f", "definitions.py", "-j", job, "--tags", tags]
    if json.loads(config):
        command += ["-c", "dagster_side_config.json"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    with DagsterInstance.get() as instance:
        runs = instance.get_runs(limit=1)
        if not runs:
            sys.exit(done.stdout + done.stderr)
        told = {"run_id": runs[0].run_id, "facts": _up_to_the_end(facts(instance.all_logs(runs[0].run_id)))}
    print(json.dumps(told, default=str))


def _up_to_the_end(told: list[Fact]) -> list[Fact]:
    """Leave out what the command itself does with the run once it is over: it opens the resources once more."""
    ends = [place for place, fact in enumerate(told) if fact["event"] in _TERMINAL]
    return told[: ends[0] + 1] if ends else told


if __name__ == "__main__":
    main()
