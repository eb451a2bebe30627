"""The alert policies of a project's file."""

from pathlib import Path

import pytest
from isthmus_cli.errors import InputError
from isthmus_cli.location_file import ProjectFile, read_project_file

LOCATIONS = "locations: [{name: etl, module: etl}]\n"
POLICY = """\
alerts:
  - name: nightly
    on: run.failed
    longer_than: 2h
    to: [{webhook: {url: "https://${HOST}/hook", secret: "${ISTHMUS_ALERT_SECRET}"}}]
"""


def read(folder: Path, text: str) -> ProjectFile:
    file = folder / "isthmus.yaml"
    file.write_text(text)
    return read_project_file(file)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as refused:
        read(folder, text)
    return str(refused.value)


def test_a_section_is_read_with_the_variables_that_the_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "hooks.example")
    monkeypatch.setenv("ISTHMUS_ALERT_SECRET", "never read here")
    found = read(tmp_path, f"variables: [HOST]\n{LOCATIONS}{POLICY}").alerts
    assert found is not None
    (policy,) = found.policies
    assert (policy.name, list(policy.on), policy.longer_than_s) == ("nightly", ["run.failed"], 7200)
    hook = policy.to[0].webhook
    assert (hook.url, hook.secret) == ("https://hooks.example/hook", "${ISTHMUS_ALERT_SECRET}")


def test_without_a_section_policies_are_left_alone_and_an_empty_one_wants_none(tmp_path: Path) -> None:
    assert read(tmp_path, LOCATIONS).alerts is None
    for nothing in ("alerts:\n", "alerts: []\n"):
        found = read(tmp_path, LOCATIONS + nothing).alerts
        assert found is not None
        assert list(found.policies) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POLICY.replace("longer_than", "longer_then"), "line 5, alerts[0].longer_then: there is no such field; did you mean longer_than?"),
        (POLICY.replace("webhook", "webhok"), "line 6, alerts[0].to[0].webhok: there is no such field; did you mean webhook?"),
        (POLICY.replace("2h", "soon"), "line 5, alerts[0].longer_than: must be a time such as 30s, 15m, 2h or 1d"),
        ("alerts: {policies: []}\n", "line 2, alerts: Input should be a valid list"),
        ("alert: []\n", "alert: there is no such field; did you mean alerts?"),
        ("variable: [A]\n", "variable: there is no such field; did you mean variables?"),
        ("defaults: {poool: gpu}\n", "defaults.poool: there is no such field; did you mean pool?"),
        ("defaults: {name: etl}\n", "defaults.name: there is no such field; the fields are module,"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_field_and_what_was_meant(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, LOCATIONS + text)
