"""Builds the request for a run from what a person typed: pure, apart from reading the config file."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import LaunchRunRequest, Location, ReexecuteRunRequest

from isthmus_cli.errors import InputError

_WHOLE_TARGET = 2


@dataclass(frozen=True)
class RunTarget:
    """Which job of which location."""

    location: str
    job_name: str


@dataclass(frozen=True)
class RunChoices:
    """What of the job to execute, and with what."""

    run_config_json: str = ""
    assets: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    partition: str = ""
    tags: tuple[str, ...] = ()
    run_id: str = ""
    #: The checks of the assets are left out.
    is_without_checks: bool = False


def resolve_target(
    words: Sequence[str], *, has_assets: bool, locations: Sequence[Location], verb: str = "run launch"
) -> RunTarget:
    """Read `[LOCATION] JOB`: the location may be left out when one alone has the job, the job when assets are selected.

    Args:
        words: As they were typed.
        has_assets: Assets are selected.
        locations: All that there are, with what they define.
        verb: The command, for what it says of other words.

    Raises:
        InputError: When the words leave a choice open; its remedy lists the choices.
    """
    if not needs_locations(words):
        return RunTarget(location=words[0], job_name=words[1])
    names = {location.settings.name for location in locations}
    if words and has_assets and words[0] in names:
        return RunTarget(location=words[0], job_name="")
    job_name = words[0] if words else ""
    if not job_name and not has_assets:
        raise InputError("Which job?", remedy=_job_hint(locations, verb=verb))
    if len(locations) == 1:
        return RunTarget(location=locations[0].settings.name, job_name=job_name)
    holders = [location.settings.name for location in locations if job_name and job_name in _jobs(location)]
    if len(holders) == 1:
        return RunTarget(location=holders[0], job_name=job_name)
    if job_name and locations and not holders:
        raise InputError(f"There is no job or location {job_name!r}.{_near(job_name, locations=locations)}")
    raise InputError(_why_no_location(locations), remedy=_location_hint(job_name, locations=locations, verb=verb))


def needs_locations(words: Sequence[str]) -> bool:
    """Tell whether the words alone do not name location and job."""
    return len(words) < _WHOLE_TARGET


def launch_request(target: RunTarget, *, choices: RunChoices) -> LaunchRunRequest:
    """Build the request.

    Raises:
        InputError: Names the option that is not usable.
    """
    return LaunchRunRequest(
        run_id=choices.run_id,
        location=target.location,
        job_name=target.job_name,
        run_config_json=choices.run_config_json,
        op_selection=[op for option in choices.ops for op in split_list(option)],
        # Left as it was typed: only who knows the keys can tell which of their characters mean something.
        asset_queries=choices.assets,
        has_check_selection=choices.is_without_checks,
        partition_key=choices.partition,
        tags=parse_tags(choices.tags),
        requested_by=person(),
    )


def reexecution(
    parent_run_id: str, *, is_from_failure: bool, steps: Sequence[str], tags: Sequence[str], run_id: str
) -> ReexecuteRunRequest:
    """Build the request that does again what a run did.

    Raises:
        InputError: Names the option that is not usable.
    """
    keys = [step for option in steps for step in split_list(option)]
    if is_from_failure and keys:
        raise InputError("--from-failure and --steps exclude each other.", remedy="Give one of them, or none for all.")
    strategy = (
        ReexecuteRunRequest.STRATEGY_FROM_FAILURE if is_from_failure else ReexecuteRunRequest.STRATEGY_UNSPECIFIED
    )
    return ReexecuteRunRequest(
        parent_run_id=parent_run_id,
        run_id=run_id,
        strategy=strategy,
        step_keys=keys,
        tags=parse_tags(tags),
        requested_by=person(),
    )


def parse_tags(options: Sequence[str]) -> dict[str, str]:
    """Read `key=value` options.

    Raises:
        InputError: When one has no key or no `=`.
    """
    tags = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not key or not separator:
            raise InputError(f"--tag {option} is no tag.", remedy="Write --tag key=value")
        tags[key] = value
    return tags


def split_list(option: str) -> list[str]:
    """Read a list whose items are joined by commas."""
    return [item.strip() for item in option.split(",") if item.strip()]


def _why_no_location(locations: Sequence[Location]) -> str:
    if not locations:
        return "There is no code location yet."
    return f"There are {len(locations)} code locations, so say which one."


def _near(word: str, *, locations: Sequence[Location]) -> str:
    names = {location.settings.name for location in locations} | {job for each in locations for job in _jobs(each)}
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(names), n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _location_hint(job_name: str, *, locations: Sequence[Location], verb: str) -> str:
    if not locations:
        return "Add one: isthmus location apply --name NAME --module MODULE"
    holders = [location for location in locations if job_name in _jobs(location)]
    names = sorted(location.settings.name for location in holders or locations)
    return f"Write isthmus {verb} LOCATION {job_name}".rstrip() + f" with LOCATION one of: {', '.join(names)}"


def _job_hint(locations: Sequence[Location], *, verb: str) -> str:
    if not locations:
        return _location_hint("", locations=locations, verb=verb)
    jobs = [f"{location.settings.name} {job}" for location in locations for job in _jobs(location)]
    if not jobs:
        return f"Write isthmus {verb} [LOCATION] JOB, or select assets with --assets"
    return f"Write isthmus {verb} [LOCATION] JOB with one of:\n" + "\n".join(f"  {job}" for job in sorted(jobs))


def _jobs(location: Location) -> list[str]:
    return [job.name for job in location.snapshot.jobs if not job.is_implicit_asset_job]


def person() -> str:
    """Name who asks, for the run's history; empty when the system does not say."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user without a name.
        return ""
