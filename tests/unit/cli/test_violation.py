"""Faults of a request in words of the command line."""

import pytest
from isthmus_cli.view.violation import violation_text

EXPECTED = 'Received unexpected config entry "ridres" at path root:ops. Expected: "{ note?: String riders?: Int }".'


@pytest.mark.parametrize(
    ("field", "description", "text"),
    [
        ("job_name", "unknown job 'x'", "unknown job 'x'"),
        ("asset_selection[2]", "unknown asset", "--assets: unknown asset"),
        ("asset_selection[2].path[0]", "is empty", "--assets: is empty"),
        ("run_config.ops.load.config", "missing", "config ops.load.config: missing"),
        ("run_config_json", "is no JSON", "config: is no JSON"),
        ("tags.team", "is too long", "--tag team: is too long"),
        ("settings.source.module", "is empty", "source module: is empty"),
        ("settings.env.A B", "is no name", "env A B: is no name"),
        ("", "3 more are not listed", "3 more are not listed"),
        ("Strange Field", "x", "Strange Field: x"),
        ("run_config.ops", EXPECTED, f"config ops: {EXPECTED} Did you mean 'riders'?"),
    ],
)
def test_a_fault_is_told_with_its_option_and_a_near_name(field: str, description: str, text: str) -> None:
    assert violation_text(field, description=description) == text
