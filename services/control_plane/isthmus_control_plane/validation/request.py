"""What each request must look like by itself, whatever the store holds."""

import re
from collections.abc import Sequence
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instruction_pb2, telemetry_pb2

from isthmus_control_plane import clock
from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import container, field
from isthmus_control_plane.validation.field import MAX_TEXT
from isthmus_control_plane.validation.generation import code_version

#: Limits, well above what a person writes and well below what hurts the broker and the store.
MAX_RUN_CONFIG_BYTES: Final = 2 * 1024 * 1024
MAX_TAGS: Final = 200
MAX_TAG_VALUE: Final = 8192
MAX_OPS: Final = 5000
MAX_ASSETS: Final = 20_000
MAX_QUERIES: Final = 500
MAX_QUERY: Final = 16_384
MAX_ENV: Final = 500
MAX_ENV_VALUE: Final = 128 * 1024
MAX_ENV_FILES: Final = 20
MAX_LOAD_TIMEOUT_S: Final = 3600.0
MAX_GRACE_S: Final = 86_400.0
MAX_PAGE: Final = 500
MAX_STATES: Final = 50
#: Two files for each step of a large run.
MAX_CURSORS: Final = 20_000
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What may name a run: its place from the newest, or the beginning of its id.
_RUN_NAME: Final = re.compile(r"latest|-[1-9][0-9]{0,4}|(?:[0-9a-f]-?){0,31}[0-9a-f]")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MODULE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def create_agent(request: api.CreateAgentRequest) -> list[Violation]:
    """List the faults of a CreateAgent request."""
    return [
        *field.optional_name(request.deployment, field="deployment"),
        *field.name(request.name, field="name"),
        *field.optional_name(request.pool, field="pool"),
        *field.text(request.broker_user, field="broker_user", max_chars=MAX_TEXT),
        *field.text(request.code_server_broker_user, field="code_server_broker_user", max_chars=MAX_TEXT),
    ]


def of_run(*, deployment: str, run_id: str) -> list[Violation]:
    """List the faults of a request that names one run."""
    return [*field.optional_name(deployment, field="deployment"), *field.run_id(run_id)]


def find_run(request: api.FindRunRequest) -> list[Violation]:
    """List the faults of a FindRun request."""
    violations = field.optional_name(request.deployment, field="deployment")
    if not _RUN_NAME.fullmatch(request.name.lower()):
        rule = "write a run's id, its beginning, 'latest', or '-1' for the newest, '-2' for the one before"
        violations.append(Violation("name", f"{field.shown(request.name)} names no run: {rule}"))
    return violations


def apply_location(request: api.ApplyLocationRequest) -> list[Violation]:
    """List the faults of an ApplyLocation request."""
    settings = request.settings
    env = field.pairs(
        settings.env, field="settings.env", most=MAX_ENV, max_key=field.NAME_CHARS, max_value=MAX_ENV_VALUE
    )
    env += [
        Violation("settings.env", f"{field.shown(key)} is no name of an environment variable")
        for key in settings.env
        if key and not _ENV_NAME.fullmatch(key)
    ]
    return [
        *field.optional_name(request.deployment, field="deployment"),
        *field.name(settings.name, field="settings.name"),
        *field.optional_name(settings.pool, field="settings.pool"),
        *_source(settings.source),
        *env,
        *field.seconds(settings.load_timeout_s, field="settings.load_timeout_s", most=MAX_LOAD_TIMEOUT_S),
        *container.location(settings),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *code_version(request.code_version),
    ]


def _source(source: instruction_pb2.CodeSource) -> list[Violation]:
    target = source.WhichOneof("target")
    if target is None:
        return [Violation("settings.source", "must say one of module, python_file, package or autoload_defs_module")]
    value = str(getattr(source, target))
    violations = field.text(value, field=f"settings.source.{target}", max_chars=MAX_TEXT)
    if not value:
        violations.append(Violation(f"settings.source.{target}", "is empty"))
    elif target != "python_file" and not _MODULE.fullmatch(value):
        rule = f"must be an importable name such as 'my_project.definitions'; got {field.shown(value)}"
        hint = "; say python_file for a path" if "/" in value or value.endswith(".py") else ""
        violations.append(Violation(f"settings.source.{target}", rule + hint))
    for other in ("attribute", "working_directory", "python_executable", "current_directory"):
        violations += field.text(getattr(source, other), field=f"settings.source.{other}", max_chars=MAX_TEXT)
    return violations + field.texts(
        source.env_files, field="settings.source.env_files", most=MAX_ENV_FILES, max_chars=MAX_TEXT
    )


def launch_run(request: api.LaunchRunRequest) -> list[Violation]:
    """List the faults of a LaunchRun or ValidateRun request."""
    violations = [
        *field.optional_name(request.deployment, field="deployment"),
        *(field.run_id(request.run_id) if request.run_id else ()),
        *field.name(request.location, field="location"),
        *field.text(request.job_name, field="job_name", max_chars=MAX_TEXT),
        *field.json_object(request.run_config_json, field="run_config_json", max_bytes=MAX_RUN_CONFIG_BYTES),
        *field.texts(request.op_selection, field="op_selection", most=MAX_OPS, max_chars=MAX_TEXT),
        *field.texts(request.asset_queries, field="asset_queries", most=MAX_QUERIES, max_chars=MAX_QUERY),
        *field.text(request.partition_key, field="partition_key", max_chars=MAX_TEXT),
        *field.pairs(request.tags, field="tags", most=MAX_TAGS, max_key=MAX_TEXT, max_value=MAX_TAG_VALUE),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
        *_selection(request),
    ]
    if not (request.job_name or request.asset_selection or request.asset_queries or request.check_selection):
        violations.append(Violation("job_name", "is missing: name a job, or select assets or checks"))
    return violations


def reexecute_run(request: api.ReexecuteRunRequest) -> list[Violation]:
    """List the faults of a ReexecuteRun request."""
    parent = of_run(deployment=request.deployment, run_id=request.parent_run_id)
    violations = [
        *(Violation(fault.field.replace("run_id", "parent_run_id"), fault.description) for fault in parent),
        *(field.run_id(request.run_id) if request.run_id else ()),
        *field.texts(request.step_keys, field="step_keys", most=MAX_OPS, max_chars=MAX_TEXT),
        *field.pairs(request.tags, field="tags", most=MAX_TAGS, max_key=MAX_TEXT, max_value=MAX_TAG_VALUE),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]
    if request.strategy not in api.ReexecuteRunRequest.Strategy.values():
        violations.append(Violation("strategy", f"{int(request.strategy)} is no strategy"))
    if request.strategy and request.step_keys:
        violations.append(Violation("step_keys", "exclude a strategy: give one of the two"))
    return violations


def _selection(request: api.LaunchRunRequest) -> list[Violation]:
    checks = field.count(len(request.check_selection), field="check_selection", most=MAX_ASSETS)
    for index, check in enumerate(request.check_selection if not checks else ()):
        path = f"check_selection[{index}]"
        checks += _asset(check.asset, field_name=f"{path}.asset")
        checks += field.text(check.check_name, field=f"{path}.check_name", max_chars=MAX_TEXT)
        if not check.check_name:
            checks.append(Violation(f"{path}.check_name", "is missing"))
    return [*asset_selection(request.asset_selection), *checks]


def asset_selection(keys: Sequence[telemetry_pb2.AssetKey]) -> list[Violation]:
    """List the faults of assets that are selected."""
    violations = field.count(len(keys), field="asset_selection", most=MAX_ASSETS)
    for index, asset in enumerate(keys if not violations else ()):
        violations += _asset(asset, field_name=f"asset_selection[{index}]")
    return violations


def _asset(asset: telemetry_pb2.AssetKey, *, field_name: str) -> list[Violation]:
    if not asset.path:
        return [Violation(field_name, "has no path")]
    return field.texts(asset.path, field=f"{field_name}.path", most=32, max_chars=MAX_TEXT)


def list_runs(request: api.ListRunsQuery) -> list[Violation]:
    """List the faults of a ListRuns request; its page token is judged by whoever made it."""
    violations = [
        *field.optional_name(request.deployment, field="deployment"),
        *field.optional_name(request.location, field="location"),
        *field.text(request.job_name, field="job_name", max_chars=MAX_TEXT),
        *field.count(len(request.states), field="states", most=MAX_STATES),
        *field.text(request.page_token, field="page_token", max_chars=MAX_TEXT),
        *field.text(request.text, field="text", max_chars=MAX_TEXT),
        *field.pairs(request.tags, field="tags", most=20, max_key=MAX_TEXT, max_value=MAX_TAG_VALUE),
    ]
    if request.page_size > MAX_PAGE:
        violations.append(Violation("page_size", f"must be 1 to {MAX_PAGE}, or 0 for 50; got {request.page_size}"))
    known = api.RunState.values()
    for index, state in enumerate(request.states[:MAX_STATES]):
        if state not in known or state == api.RUN_STATE_UNSPECIFIED:
            violations.append(Violation(f"states[{index}]", f"{int(state)} is no state of a run"))
    for name in ("queued_after", "queued_before"):
        try:
            clock.moment(getattr(request, name))
        except (ValueError, OverflowError):
            violations.append(Violation(name, "is no time that a calendar knows"))
    return violations


def delete_run(request: api.DeleteRunRequest) -> list[Violation]:
    """List the faults of a DeleteRun request."""
    return [
        *of_run(deployment=request.deployment, run_id=request.run_id),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def terminate_run(request: api.TerminateRunRequest) -> list[Violation]:
    """List the faults of a TerminateRun request."""
    return [
        *of_run(deployment=request.deployment, run_id=request.run_id),
        *field.seconds(request.grace_s, field="grace_s", most=MAX_GRACE_S),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]


def stream_logs(request: api.StreamLogsRequest) -> list[Violation]:
    """List the faults of a StreamLogs request."""
    violations = of_run(deployment=request.deployment, run_id=request.run_id)
    violations += field.count(len(request.cursors), field="cursors", most=MAX_CURSORS)
    seen = set()
    for index, cursor in enumerate(request.cursors[:MAX_CURSORS]):
        violations += field.text(cursor.step_key, field=f"cursors[{index}].step_key", max_chars=MAX_TEXT)
        if cursor.stream not in {telemetry_pb2.LOG_STREAM_STDOUT, telemetry_pb2.LOG_STREAM_STDERR}:
            violations.append(Violation(f"cursors[{index}].stream", "must be LOG_STREAM_STDOUT or LOG_STREAM_STDERR"))
        elif (cursor.stream, cursor.step_key) in seen:
            violations.append(Violation(f"cursors[{index}].stream", "is named twice"))
        seen.add((cursor.stream, cursor.step_key))
    violations += field.text(request.step_key, field="step_key", max_chars=MAX_TEXT)
    if request.value_sha256 and not _SHA256.fullmatch(request.value_sha256):
        violations.append(Violation("value_sha256", "must be a SHA-256 in lower-case hexadecimal"))
    if request.value_sha256 and (request.step_key or len(request.cursors) > 1):
        violations.append(
            Violation("value_sha256", "is asked for by itself: without a step, from one cursor at the most")
        )
    return violations
