"""What a person types becomes a request."""

from datetime import UTC, datetime

import pytest
from isthmus.v1.control_plane_pb2 import Location
from isthmus_cli.errors import InputError
from isthmus_cli.run_query import parse_since, runs_query
from isthmus_cli.run_request import RunChoices, RunTarget, launch_request, resolve_target


def location(name: str, *jobs: str) -> Location:
    made = Location()
    made.settings.name = name
    for job in jobs:
        made.snapshot.jobs.add(name=job)
    made.snapshot.jobs.add(name="__ASSET_JOB", is_implicit_asset_job=True)
    return made


ONE = [location("etl", "nightly")]
TWO = [location("etl", "nightly"), location("ml", "train")]


@pytest.mark.parametrize(
    ("words", "has_assets", "locations", "target"),
    [
        (["etl", "nightly"], False, [], RunTarget("etl", "nightly")),
        (["nightly"], False, ONE, RunTarget("etl", "nightly")),
        ([], True, ONE, RunTarget("etl", "")),
        (["ml"], True, TWO, RunTarget("ml", "")),
        (["nightly"], True, ONE, RunTarget("etl", "nightly")),
        (["train"], False, TWO, RunTarget("ml", "train")),
    ],
)
def test_the_words_name_location_and_job(
    *, words: list[str], has_assets: bool, locations: list[Location], target: RunTarget
) -> None:
    assert resolve_target(words, has_assets=has_assets, locations=locations) == target


@pytest.mark.parametrize(
    ("words", "has_assets", "locations", "remedy"),
    [
        ([], False, ONE, "etl nightly"),
        ([], False, [], "isthmus location apply"),
        ([], True, TWO, "one of: etl, ml"),
        (["nightly"], False, [], "isthmus location apply"),
    ],
)
def test_an_open_choice_is_an_error_that_lists_the_choices(
    *, words: list[str], has_assets: bool, locations: list[Location], remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve_target(words, has_assets=has_assets, locations=locations)
    assert remedy in caught.value.remedy
    assert "__ASSET_JOB" not in caught.value.remedy


def test_a_job_that_no_location_has_is_told_with_near_ones() -> None:
    with pytest.raises(InputError, match=r"There is no job or location 'trein'.*train"):
        resolve_target(["trein"], has_assets=False, locations=TWO)


@pytest.mark.parametrize("tag", ["x", "=x", ""])
def test_a_tag_needs_key_and_value(tag: str) -> None:
    with pytest.raises(InputError, match="is no tag"):
        launch_request(RunTarget("etl", "nightly"), choices=RunChoices(tags=(tag,)))


def test_assets_are_sent_as_they_were_typed() -> None:
    choices = RunChoices(assets=("has,comma", "s3://bucket/x", "group:raw and not key:a*"), is_without_checks=True)
    request = launch_request(RunTarget("etl", ""), choices=choices)
    assert list(request.asset_queries) == ["has,comma", "s3://bucket/x", "group:raw and not key:a*"]
    assert request.has_check_selection


NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2030, 1, 31, 11, 58, 30, tzinfo=UTC)),
        ("30m", datetime(2030, 1, 31, 11, 30, tzinfo=UTC)),
        ("2h", datetime(2030, 1, 31, 10, tzinfo=UTC)),
        ("1w", datetime(2030, 1, 24, 12, tzinfo=UTC)),
        ("2030-01-01T08:00:00+02:00", datetime(2030, 1, 1, 6, tzinfo=UTC)),
    ],
)
def test_since_is_a_span_or_a_moment(text: str, moment: datetime) -> None:
    assert parse_since(text, now=NOW) == moment


def test_wrong_filters_name_the_choices() -> None:
    with pytest.raises(InputError, match="is no time"):
        parse_since("yesterday", now=NOW)
    with pytest.raises(InputError) as caught:
        runs_query(states=["suceeded"], tags=[], since="", job="", location="")
    assert str(caught.value) == "--state suceeded is no state. Did you mean succeeded?"
    assert "failed" in caught.value.remedy
