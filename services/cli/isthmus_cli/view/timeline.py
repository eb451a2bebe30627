"""What a run did so far, told by its events: pure state, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import Run, RunUpdate
from isthmus.v1.telemetry_pb2 import CheckSeverity, Event, Failure

from isthmus_cli.view.text import seconds_between


@dataclass
class RunTimeline:
    """The course of one run. Feed it each update once, in order."""

    run: Run = field(default_factory=Run)
    planned: Sequence[str] = ()
    #: Steps that run at this moment, by key, in the order of their start.
    running: dict[str, Timestamp] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    materializations: int = 0
    checks_passed: int = 0
    checks_warned: int = 0
    checks_failed: int = 0

    def apply(self, update: RunUpdate) -> float | None:
        """Take an update in; returns how long the step took, in seconds, when the update ends one."""
        if update.HasField("run"):
            self.run = update.run
        return self._apply_event(update.event) if update.HasField("event") else None

    @property
    def ended_steps(self) -> int:
        """How many steps have ended."""
        return len(self.succeeded) + len(self.failed) + len(self.skipped)

    @property
    def elapsed_s(self) -> float | None:
        """From the run's start, or from its place in the queue, to its end; None while it has not ended."""
        if not self.run.HasField("ended_at"):
            return None
        start = self.run.started_at if self.run.HasField("started_at") else self.run.queued_at
        return max(seconds_between(start, self.run.ended_at), 0.0)

    def _apply_event(self, event: Event) -> float | None:
        match event.WhichOneof("body"):
            case "run_started":
                self.planned = tuple(event.run_started.step_keys)
                # A new attempt begins anew.
                for steps in (self.running, self.succeeded, self.failed, self.skipped):
                    steps.clear()
            case "step_started" | "step_restarted":
                self.running[event.step_key] = event.occurred_at
            case "step_succeeded":
                self.succeeded.add(event.step_key)
                took_s = self._end_step(event)
                return event.step_succeeded.duration_s or took_s
            case "step_failed":
                self.failed[event.step_key] = event.step_failed.failure
                return self._end_step(event)
            case "step_skipped":
                self.skipped.add(event.step_key)
            case "step_up_for_retry":
                return self._end_step(event)
            case _:
                self._count(event)
        return None

    def _count(self, event: Event) -> None:
        match event.WhichOneof("body"):
            case "asset_materialized":
                self.materializations += 1
            case "asset_check_evaluated" if event.asset_check_evaluated.is_passed:
                self.checks_passed += 1
            case "asset_check_evaluated" if event.asset_check_evaluated.severity == CheckSeverity.CHECK_SEVERITY_WARN:
                self.checks_warned += 1
            case "asset_check_evaluated":
                self.checks_failed += 1
            case _:
                pass

    def _end_step(self, event: Event) -> float | None:
        started_at = self.running.pop(event.step_key, None)
        return None if started_at is None else max(seconds_between(started_at, event.occurred_at), 0.0)
