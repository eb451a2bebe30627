"""Variables and defaults of a project's file."""

from typing import Any

import pytest
from isthmus_cli.errors import InputError
from isthmus_cli.file_values import filled_in


def filled(content: Any, **environment: str) -> Any:
    return filled_in(content, environment=environment, origin="isthmus.yaml")


def test_only_the_variables_that_a_file_names_are_put_in() -> None:
    content = {
        "variables": ["TAG"],
        "locations": [
            {"name": "etl", "container": {"image": "etl:${TAG}"}, "env": {"A": "${HOME}/${TAG}", "B": "$TAG"}}
        ],
    }
    assert filled(content, TAG="1.4", HOME="/root") == {
        "locations": [{"name": "etl", "container": {"image": "etl:1.4"}, "env": {"A": "${HOME}/1.4", "B": "$TAG"}}]
    }


def test_what_a_variable_holds_is_not_looked_into_again() -> None:
    assert filled({"variables": ["A", "B"], "x": "${A}"}, A="${B}", B="secret") == {"x": "${B}"}


def test_all_variables_that_are_not_set_are_named_at_once() -> None:
    with pytest.raises(InputError) as refused:
        filled({"variables": ["TAG", "USER_ID", "THERE"]}, THERE="")
    assert str(refused.value) == (
        "isthmus.yaml cannot be used:\n"
        "  variables: TAG is not set in the environment\n"
        "  variables: USER_ID is not set in the environment"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [({"variables": "TAG"}, "variables: give a list"), ({"variables": [1]}, "variables: give a list"),
     ({"defaults": ["etl"]}, "defaults: give fields")],
)  # fmt: skip
def test_a_section_of_another_form_is_refused(content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        filled(content)


def test_defaults_are_below_what_each_location_says() -> None:
    content = {
        "defaults": {"pool": "big", "env": {"A": "1", "B": "2"}, "env_files": ["a.env"]},
        "locations": [{"name": "etl"}, {"name": "ml", "pool": "gpu", "env": {"B": "3"}, "env_files": []}],
    }
    assert filled(content)["locations"] == [
        {"name": "etl", "pool": "big", "env": {"A": "1", "B": "2"}, "env_files": ["a.env"]},
        {"name": "ml", "pool": "gpu", "env": {"A": "1", "B": "3"}, "env_files": []},
    ]


@pytest.mark.parametrize("content", [None, [], "text", {"defaults": {"pool": "x"}, "locations": "none"}])
def test_what_is_no_file_of_locations_is_left_to_whoever_reads_it(content: Any) -> None:
    filled(content)
