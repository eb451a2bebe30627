"""Builds the request for a backfill from what a person typed: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.v1.control_plane_pb2 import CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import PartitionRange

from isthmus_cli.errors import InputError
from isthmus_cli.run_request import RunTarget, person

#: Between the ends of a range.
_BETWEEN = ".."


@dataclass(frozen=True, kw_only=True)
class BackfillChoices:
    """Which partitions, and how."""

    #: In Dagster's selection language.
    assets: Sequence[str] = ()
    partitions: Sequence[str] = ()
    ranges: Sequence[str] = ()
    is_all: bool = False
    run_config_json: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    max_runs: int = 0
    backfill_id: str = ""


def backfill_request(target: RunTarget, *, choices: BackfillChoices) -> CreateBackfillRequest:
    """Build the request.

    Raises:
        InputError: Names the option that is not usable.
    """
    is_named = bool(choices.partitions or choices.ranges)
    if choices.is_all and is_named:
        raise InputError("--all excludes --partition and --range.", remedy="Give one of the two.")
    if not choices.is_all and not is_named:
        raise InputError("Which partitions?", remedy="Write --partition KEY, --range FIRST..LAST, or --all")
    return CreateBackfillRequest(
        backfill_id=choices.backfill_id,
        location=target.location,
        job_name=target.job_name,
        # Left as it was typed: only who knows the keys can tell which of their characters mean something.
        asset_queries=choices.assets,
        partition_keys=choices.partitions,
        ranges=[_range(option) for option in choices.ranges],
        is_all=choices.is_all,
        run_config_json=choices.run_config_json,
        tags=choices.tags,
        max_runs=choices.max_runs,
        requested_by=person(),
    )


def assets_target(words: Sequence[str]) -> RunTarget:
    """Read `[LOCATION]` before selected assets.

    Raises:
        InputError: A job is named beside them.
    """
    if len(words) > 1:
        raise InputError("--assets stand in the place of a job.", remedy="Leave the job out, or --assets.")
    return RunTarget(location=words[0] if words else "", job_name="")


def _range(option: str) -> PartitionRange:
    first, between, last = option.partition(_BETWEEN)
    if not first or not between or not last:
        raise InputError(
            f"--range {option} is no range.", remedy="Write --range FIRST..LAST, as in --range 2030-01-01..2030-01-31"
        )
    return PartitionRange(first=first, last=last)
