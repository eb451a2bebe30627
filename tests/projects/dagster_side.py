"""Executes jobs the way `dagster job execute` does, each in a process of its own, and prints their facts as a last line of JSON.

`python -m projects.dagster_side LAUNCHES`, in the project's folder, with DAGSTER_HOME set: runs in the project's own
Python, and knows nothing of Isthmus. LAUNCHES is a list in JSON of what the command is to be told: target, job, config, tags.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from conformance.dagster_facts import Fact, facts
from dagster import DagsterInstance
from dagster._cli import create_dagster_cli

_TERMINAL = frozenset({"PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED"})
_CONFIG, _OUTPUT = Path("dagster_side_config.json"), Path("dagster_side_output.txt")


def main() -> None:
    """Execute the jobs, one after another, and tell what each run left."""
    told: list[dict[str, Any]] = []
    for launch in json.loads(sys.argv[1]):
        _execute(launch)
        with DagsterInstance.get() as instance:
            runs = [run for run in instance.get_runs(limit=1) if run.run_id not in {one["run_id"] for one in told}]
            if not runs:
                sys.exit(_OUTPUT.read_text())
            run_id = runs[0].run_id
            told.append({"run_id": run_id, "facts": _up_to_the_end(facts(instance.all_logs(run_id)))})
    print(json.dumps(told, default=str))


def _execute(launch: dict[str, Any]) -> None:
    """Have a forked process run the command: it has imported Dagster, and nothing of the project."""
    _CONFIG.write_text(json.dumps(launch["config"]))
    words = ["job", "execute", *launch["target"].split(), "-j", launch["job"], "--tags", json.dumps(launch["tags"])]
    pid = os.fork()
    if pid == 0:
        _be_command([*words, "-c", str(_CONFIG)] if launch["config"] else words)
    os.waitpid(pid, 0)


def _be_command(words: list[str]) -> NoReturn:
    try:
        output = os.open(_OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for fd in (1, 2):
            os.dup2(output, fd)
        # What the command itself has as its name and place is what starts its steps' processes.
        sys.argv[:] = ["dagster", *words]
        sys.path[0] = os.path.dirname(sys.executable)  # noqa: PTH120  # sys.path holds text
        make_command: Any = create_dagster_cli
        make_command()(words)
    except SystemExit:
        pass
    except BaseException:  # noqa: BLE001  # the process ends here, and this is told with its output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _up_to_the_end(told: list[Fact]) -> list[Fact]:
    """Leave out what the command itself does with the run once it is over: it opens the resources once more."""
    ends = [place for place, fact in enumerate(told) if fact["event"] in _TERMINAL]
    return told[: ends[0] + 1] if ends else told


if __name__ == "__main__":
    main()
