"""Lets Dagster's own daemon begin the ticks of a scenario, and prints what they came to as a last line of JSON.

`python -m conformance.dagster_daemon HOME < scenario.json`. The loops of the daemon itself run here, under a clock that stands
still and is set; runs that ticks ask for stay queued. Runs beside any supported Dagster, and knows nothing of Isthmus.
"""

import importlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest import mock

from conformance.dagster_facts import Fact, errors
from dagster import DagsterEventType, DagsterInstance, EventRecordsFilter
from dagster._core.definitions.instigation_logger import get_instigation_log_records
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.reconstruct import repository_def_from_target_def
from dagster._core.execution.api import execute_run
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.autodiscovery import loadable_targets_from_python_module
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

#: How often sensors are looked at in a round: those that events wake take a few of them at a time.
_LOOKS = 1
#: How long late schedules run.
LATE = timedelta(minutes=5, seconds=30)
_INDEXED = (
    DagsterEventType.RUN_START,
    DagsterEventType.RUN_SUCCESS,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.ASSET_MATERIALIZATION,
)


def _origins() -> Any:
    try:
        return importlib.import_module("dagster._core.remote_origin")
    except ModuleNotFoundError:
        return importlib.import_module("dagster._core.remote_representation.origin")


class _Places(WorkspaceLoadTarget):
    """Locations in this very process."""

    def __init__(self, places: list[dict[str, str]]) -> None:
        self._places = places

    def create_origins(self) -> list[Any]:
        return [
            _origins().InProcessCodeLocationOrigin(
                LoadableTargetOrigin(
                    executable_path=sys.executable,
                    module_name=it["module"],
                    working_directory=it["folder"],
                    attribute=it["attribute"] or None,
                ),
                location_name=it["name"],
            )
            for it in self._places
        ]


class Daemon:
    """One scenario's world."""

    def __init__(self, context: Any, instance: DagsterInstance) -> None:
        self._context = context
        self._instance = instance
        self._pool = ThreadPoolExecutor(1)
        self._iterations: dict[str, Any] = {}
        self._logger = logging.getLogger("daemon")

    def repositories(self) -> list[tuple[str, Any]]:
        entries = self._context.create_request_context().get_code_location_entries()
        for entry in entries.values():
            assert entry.code_location is not None, entry.load_error
        return [
            (name, repository)
            for name, entry in entries.items()
            for repository in entry.code_location.get_repositories().values()
        ]

    # -------------------------------------------------------------------------------------------------------- schedules

    def schedules(self, *, since: datetime, until: datetime, late: list[str]) -> list[Fact]:
        """Let the schedules be due from time to time, and tell of all their ticks. Late ones are started shortly before the end."""
        all_of = [
            schedule
            for _, repository in self.repositories()
            for schedule in sorted(repository.get_schedules(), key=lambda it: str(it.name))
        ]
        begun = {schedule.name: until - LATE if schedule.name in late else since for schedule in all_of}
        times = {
            at.timestamp()
            for schedule in all_of
            for at in takewhile(
                lambda at: at <= until, schedule.execution_time_iterator(begun[schedule.name].timestamp())
            )
        }
        self._start([it for it in all_of if it.name not in late], at=since)
        for at in sorted(times):
            now = datetime.fromtimestamp(at + 1, tz=since.tzinfo)
            if late and now > until - LATE:
                self._start([it for it in all_of if it.name in late], at=until - LATE)
                late = []
            with freeze_time(now):
                list(launch_scheduled_runs(self._context, self._logger, now, iteration_times=self._iterations))
        return [fact for schedule in all_of for fact in self._ticks(schedule)]

    def _start(self, schedules: list[Any], *, at: datetime) -> None:
        with freeze_time(at):
            for schedule in schedules:
                self._instance.start_schedule(schedule)

    # ---------------------------------------------------------------------------------------------------------- sensors

    def sensors(self, rounds: list[list[dict[str, Any]]], *, since: datetime) -> list[Fact]:
        """Look at sensors, an hour after the other, and let things happen in between."""
        with freeze_time(since):
            running = [
                sensor
                for _, repository in self.repositories()
                for sensor in sorted(repository.get_sensors(), key=lambda it: str(it.name))
            ]
            for sensor in running:
                self._instance.start_sensor(sensor)
        for number, actions in enumerate(rounds):
            now = since + timedelta(hours=1, minutes=5) * number
            with freeze_time(now):
                for action in actions:
                    self._act(action)
            for look in range(1, _LOOKS + 1):
                self._look(now + timedelta(minutes=2) * look)
            self._look(now + timedelta(hours=1, minutes=4))
        return [fact for sensor in running for fact in self._ticks(sensor)]

    def _look(self, now: datetime) -> None:
        with freeze_time(now):
            list(
                execute_sensor_iteration(
                    self._context, self._logger, threadpool_executor=None, submit_threadpool_executor=self._pool
                )
            )

    def _act(self, action: dict[str, Any]) -> None:
        if "file" in action:
            write_file(action)
            return
        job = next(
            repository.get_full_job(action["job"])
            for name, repository in self.repositories()
            if name == action["location"] and repository.has_job(action["job"])
        )
        definition = _definition(action["location"], job)
        tags = {**action["tags"], **({"dagster/partition": action["partition"]} if action["partition"] else {})}
        run = self._instance.create_run_for_job(
            job_def=definition,
            run_id=action["run_id"],
            tags=tags,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
        )
        execute_run(InMemoryJob(definition), run, self._instance)

    # ------------------------------------------------------------------------------------------------------------ facts

    def _ticks(self, instigator: Any) -> list[Fact]:
        ticks = self._instance.get_ticks(instigator.get_remote_origin_id(), instigator.selector_id)
        return [self._tick(instigator, tick) for tick in reversed(ticks)]

    def _tick(self, instigator: Any, tick: Any) -> Fact:
        lines = get_instigation_log_records(self._instance, tick.log_key) if tick.log_key else []
        runs = [self._instance.get_run_by_id(run_id) for run_id in tick.run_ids]
        return {
            "of": instigator.name,
            "at": datetime.fromtimestamp(tick.timestamp).astimezone().timestamp(),
            "status": "FAILED" if tick.status is TickStatus.FAILURE else tick.status.value,
            "skip_reason": tick.skip_reason or "",
            "error": errors(tick.error),
            "cursor": tick.cursor or "",
            "lines": [line["dagster_meta"]["orig_message"] for line in lines if "dagster_meta" in line],
            "runs": [_run(run) for run in runs if run is not None],
        }

    def events(self) -> dict[int, str]:
        """Return the ids of events, with what they are, for cursors that name them."""
        return {
            record.storage_id: f"{kind.value} of {record.event_log_entry.run_id}"
            for kind in _INDEXED
            for record in self._instance.get_event_records(EventRecordsFilter(kind))
        }

    def reactions(self, rounds: list[list[dict[str, Any]]]) -> list[str]:
        """Return what sensors wrote into the histories of runs."""
        ids = [action["run_id"] for actions in rounds for action in actions if "run_id" in action]
        entries = [entry for run_id in ids for entry in self._instance.all_logs(run_id)]
        return [
            str(entry.dagster_event.message)
            for entry in entries
            if entry.dagster_event and str(entry.dagster_event.message).startswith("Sensor ")
        ]


def write_file(action: dict[str, Any]) -> None:
    """Leave a file that was changed at a certain time."""
    path = Path(os.environ["BIKE_SHARE_INBOX"]) / action["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("fine\n")
    os.utime(path, (action["changed_at"], action["changed_at"]))


_repositories: dict[str, list[Any]] = {}


def _definition(location: str, job: Any) -> Any:
    """Return the definition of a job that is known from afar."""
    found = next(it for it in _repositories[location] if it.has_job(job.name))
    return found.get_job(job.name)


def _run(run: Any) -> Fact:
    return {
        "job": run.job_name,
        "config": dict(run.run_config),
        "tags": dict(run.tags),
        "assets": sorted(key.to_user_string() for key in run.asset_selection or ()),
        "checks": None
        if run.asset_check_selection is None
        else sorted(f"{key.asset_key.to_user_string()}:{key.name}" for key in run.asset_check_selection),
        "status": run.status.value,
    }


def _open_instance(home: Path) -> DagsterInstance:
    storage = "dagster._core.storage"
    overrides = {
        "event_log_storage": {
            "module": f"{storage}.event_log",
            "class": "ConsolidatedSqliteEventLogStorage",
            "config": {"base_dir": str(home / "events")},
        },
        "compute_logs": {
            "module": f"{storage}.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "lines")},
        },
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"},
        "telemetry": {"enabled": False},
    }
    return DagsterInstance.local_temp(str(home), overrides=overrides)


def _load(places: list[dict[str, str]]) -> None:
    """Keep the definitions of all places, whose jobs are executed here."""
    for place in places:
        module = importlib.import_module(place["module"])
        targets = loadable_targets_from_python_module(place["module"], place["folder"])
        names = [place["attribute"]] if place["attribute"] else [it.attribute for it in targets]
        _repositories[place["name"]] = [repository_def_from_target_def(getattr(module, name)) for name in names]


@contextmanager
def _opened_once(instance: DagsterInstance) -> Iterator[None]:
    """Let evaluations use this instance, each of which would open it anew and, at its end, close it."""
    opened: Any = instance
    opened.dispose = lambda: None
    with mock.patch.object(DagsterInstance, "from_ref", return_value=instance):
        yield


def main() -> None:
    """Live through the scenario that stands on standard input."""
    home = Path(sys.argv[1])
    scenario = json.load(sys.stdin)
    for place in scenario["places"]:
        sys.path.insert(0, place["folder"])
    _load(scenario["places"])
    since = datetime.fromisoformat(scenario["since"])
    with (
        _open_instance(home) as instance,
        _opened_once(instance),
        create_test_daemon_workspace_context(_Places(scenario["places"]), instance) as context,
    ):
        daemon = Daemon(context, instance)
        if scenario["until"]:
            until = datetime.fromisoformat(scenario["until"])
            told = daemon.schedules(since=since, until=until, late=scenario["late"])
        else:
            told = daemon.sensors(scenario["rounds"], since=since)
        answer = {"ticks": told, "events": daemon.events(), "reactions": daemon.reactions(scenario["rounds"])}
    print()  # noqa: T201  # what the project printed ends here
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
