"""Evaluates automation conditions as Dagster does, on the graph of the location itself.

Dagster has two ways: its daemon evaluates built-in conditions on snapshots, and a sensor that asks for it evaluates at most
500 of any kind next to the user's code. Here both kinds of sensor are evaluated next to the user's code, by Dagster's own
evaluation, with conditions of any kind and number.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dagster import AssetKey
from isthmus.v1.instruction_pb2 import AutomationSurroundings

from isthmus_code_server.definitions.dagster.asked.asset_facts import facts_query
from isthmus_code_server.definitions.dagster.evaluated.neighbours import enrich

if TYPE_CHECKING:
    from dagster import RepositoryDefinition
    from isthmus.v1.instance_pb2 import AssetFactsQuery

    from isthmus_code_server.definitions.dagster.asked.instance import RunInstance

#: Evaluated by Dagster's daemon, and with all that this does besides.
_OF_DAEMON = "AUTO_MATERIALIZE"
_KINDS = frozenset({_OF_DAEMON, "AUTOMATION"})
_OBSERVE_TAG, _SENSOR_TAG = "dagster/auto_observe", "dagster/sensor_name"
#: Dagster's module that logs each entity that it evaluates: what it decides is told by the decisions.
_TALKATIVE = "automation_condition_evaluator"


def is_automation(sensor: Any) -> bool:
    """Tell whether a sensor evaluates automation conditions."""
    return sensor.sensor_type.value in _KINDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """What came of an evaluation, in Dagster's terms."""

    run_requests: Sequence[Any]
    cursor: str
    #: Of what changed, or is to be executed.
    evaluations: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class AutomationEvaluation:
    """One evaluation of a sensor of automation."""

    sensor: Any
    repository: "RepositoryDefinition"
    run_instance: "RunInstance"
    #: What other locations define around it.
    surroundings: AutomationSurroundings
    logger: logging.Logger

    def decide(self, cursor: str) -> Decided:
        """Evaluate all conditions of the sensor's assets, checks and jobs.

        Raises:
            Exception: Whatever a condition of the user's raised.
        """
        from dagster._core.definitions.automation_tick_evaluation_context import AutomationTickEvaluationContext
        from dagster._daemon.asset_daemon import (
            asset_daemon_cursor_from_instigator_serialized_cursor,
            asset_daemon_cursor_to_instigator_serialized_cursor,
        )

        graph = self.repository.asset_graph
        enrich(graph, self.surroundings.neighbours, logger=self.logger)
        before = asset_daemon_cursor_from_instigator_serialized_cursor(cursor or None, graph)
        selected = _selected(self.sensor, graph, surroundings=self.surroundings)
        store = self.run_instance.store
        store.facts = store.asset_facts(_question(selected, graph))
        self.logger.addFilter(_is_worth_telling)
        evaluate: Any = AutomationTickEvaluationContext
        requests, after, evaluations = evaluate(
            evaluation_id=before.evaluation_id + 1,
            instance=self.run_instance.instance,
            asset_graph=graph,
            cursor=before,
            asset_selection=_selection_of(selected),
            logger=self.logger,
            **self._of_sensor(selected, graph),
        ).evaluate()
        told = asset_daemon_cursor_to_instigator_serialized_cursor(after)
        return Decided(run_requests=requests, cursor=told, evaluations=evaluations)

    def _of_sensor(self, selected: Collection[Any], graph: Any) -> dict[str, Any]:
        """Return what the sensor itself decides of the evaluation."""
        sensor, instance = self.sensor, self.run_instance.instance
        is_of_daemon = sensor.sensor_type.value == _OF_DAEMON
        tags = {_SENSOR_TAG: sensor.name, **sensor.run_tags}
        told: dict[str, Any] = {
            "materialize_run_tags": {**(instance.auto_materialize_run_tags if is_of_daemon else {}), **tags},
            "observe_run_tags": {_OBSERVE_TAG: "true", **tags},
            "auto_observe_asset_keys": _observed(selected, graph) if is_of_daemon else set(),
            "emit_backfills": sensor.emit_backfills,
            "default_condition": sensor.default_condition,
        }
        # Older versions of Dagster have no conditions of jobs.
        if job_keys := getattr(sensor, "asset_job_keys", None):
            told["asset_job_keys"] = job_keys
        return told


@contextmanager
def partitions_known(instance: Any) -> Iterator[None]:
    """Let partitions be counted and named, which newer versions of Dagster do only while it is said by when and whose."""
    try:
        from dagster._core.definitions.partitions.context import partition_loading_context
    except ModuleNotFoundError:
        yield
        return
    with partition_loading_context(datetime.now(UTC), instance):
        yield


def prepare(repository: "RepositoryDefinition") -> None:
    """Build, before the fork, what each evaluation needs: no child keeps it for the next."""
    automations = [sensor for sensor in repository.sensor_defs if is_automation(sensor)]
    if not automations:
        return
    import dagster._core.definitions.automation_tick_evaluation_context
    import dagster._daemon.asset_daemon  # noqa: F401

    graph: Any = repository.asset_graph
    _ = graph.toposorted_entity_keys_by_level
    for sensor in automations:
        _question(_selected(sensor, graph, surroundings=AutomationSurroundings()), graph)


def _selected(sensor: Any, graph: Any, *, surroundings: AutomationSurroundings) -> frozenset[Any]:
    """Return the assets and checks that a sensor decides about, but for those that another location owns."""
    selection = sensor.asset_selection
    elsewhere = {AssetKey(list(key.path)) for key in surroundings.owned_elsewhere}
    return frozenset(selection.resolve(graph) - elsewhere) | frozenset(selection.resolve_checks(graph))


def _selection_of(keys: Iterable[Any]) -> Any:
    from dagster import AssetSelection

    assets = [key for key in keys if isinstance(key, AssetKey)]
    checks = [key for key in keys if not isinstance(key, AssetKey)]
    return AssetSelection.assets(*assets).without_checks() | AssetSelection.checks(*checks)


def _observed(keys: Iterable[Any], graph: Any) -> set[AssetKey]:
    """Return the assets that are to be observed from time to time."""
    assets = (key for key in keys if isinstance(key, AssetKey))
    return {key for key in assets if graph.get(key).auto_observe_interval_minutes is not None}


def _question(selected: Iterable[Any], graph: Any) -> "AssetFactsQuery":
    """Return the question for all that conditions of these assets and checks usually look at: themselves, and what is above."""
    checks = {key for key in selected if not isinstance(key, AssetKey)}
    assets = {key for key in selected if isinstance(key, AssetKey)} | {key.asset_key for key in checks}
    assets = {key for key in assets if graph.has(key)}
    assets |= {parent for key in assets for parent in graph.get(key).parent_keys if graph.has(parent)}
    checks |= {check for key in assets for check in graph.get(key).check_keys}
    definitions = {key: graph.get(key).partitions_def for key in assets}
    return facts_query(
        assets=assets,
        partitioned={key for key, definition in definitions.items() if definition is not None},
        checks=checks,
        dynamic={name for definition in definitions.values() for name in _dynamic_names(definition)},
    )


def _dynamic_names(definition: Any) -> Iterable[str]:
    from dagster import DynamicPartitionsDefinition, MultiPartitionsDefinition

    match definition:
        case DynamicPartitionsDefinition() if definition.name:
            return [definition.name]
        case MultiPartitionsDefinition():
            return [name for it in definition.partitions_defs for name in _dynamic_names(it.partitions_def)]
    return []


def _is_worth_telling(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO and record.module != _TALKATIVE
