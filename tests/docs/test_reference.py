"""The reference says of every setting, call, event and exit code what it means, and leaves none out."""

import re
from pathlib import Path

import pytest
from docs_pages.commands import commands_page
from docs_pages.contract import FILES, comments_in, comments_of, file_of
from docs_pages.events import ALERTS, log_events
from docs_pages.exit_codes import meanings_of
from docs_pages.setting import settings_of
from docs_pages.settings_page import SECTIONS, VARIABLES, Section
from isthmus.v1.telemetry_pb2 import Event
from isthmus_cli.exit_code import ExitCode
from isthmus_monitor.alert import KINDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_every_setting_says_what_it_means(section: Section) -> None:
    settings = list(settings_of(section.model))
    assert settings
    assert [setting.name for setting in settings if not setting.meaning] == []


def test_every_variable_that_the_packages_name_is_in_the_reference() -> None:
    declared = {setting.name for section in SECTIONS for setting in settings_of(section.model)} | set(VARIABLES)
    named = {
        name
        for room in ("agent", "broker", "services")
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"\bISTHMUS_[A-Z]+(?:_[A-Z]+)+\b", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named - declared == set()


@pytest.mark.parametrize("name", FILES)
def test_every_call_says_what_it_does(name: str) -> None:
    comments = comments_in(name)
    calls = [f"{one.name}.{call.name}" for one in file_of(name).services_by_name.values() for call in one.methods]
    assert [call for call in calls if not comments[call]] == []


def test_every_file_of_the_contract_has_a_page() -> None:
    assert {path.stem for path in (ROOT / "protos/isthmus/v1").glob("*.proto")} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_comments_are_found_for_the_names_that_the_descriptors_have(name: str) -> None:
    comments = comments_in(name)
    messages = file_of(name).message_types_by_name.values()
    fields = [f"{message.name}.{field.name}" for message in messages for field in message.fields]
    in_groups = {
        f"{message.name}.{field.name}" for message in messages for one in message.oneofs for field in one.fields
    }
    assert [field for field in fields if field not in comments and field not in in_groups] == []
    assert [message.name for message in messages if message.name not in comments] == []


def test_every_event_says_what_happened() -> None:
    comments = comments_in("telemetry")
    bodies = [field.message_type for field in Event.DESCRIPTOR.oneofs_by_name["body"].fields]
    assert [body for body in bodies if body is None or not comments[body.name]] == []


def test_comment_of_a_nested_name_stands_under_its_owner() -> None:
    text = "// Outer.\nmessage A {\n  // Inner.\n  message B {\n    // Of the field,\n    // in two lines.\n    string c = 1;\n  }\n}\n"
    assert comments_of(text) == {"A": "Outer.", "A.B": "Inner.", "A.B.c": "Of the field, in two lines."}


def test_every_exit_code_of_the_command_line_has_a_meaning() -> None:
    meanings = meanings_of(ExitCode)
    assert set(meanings) == set(ExitCode)
    assert all(meanings.values())


def test_every_kind_of_alert_has_a_meaning() -> None:
    assert set(ALERTS) == KINDS


def test_lines_of_logs_are_found_in_every_service() -> None:
    rooms = {event.room for event in log_events()}
    assert {"agent", "broker", "code_server", "control_plane", "monitor"} <= rooms


def test_every_command_is_on_the_page_with_its_options() -> None:
    page = commands_page()
    assert "## isthmus run launch\n" in page
    assert "--data-dir" in page
    assert "### isthmus-code-server check\n" in page
