"""Whatever user code puts into a text, nothing but text and our own colours reaches a terminal: in each field, by each view."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from isthmus.v1.control_plane_pb2 import Agent, ListRunsPage, Location, Run, RunUpdate, ValidateLaunchResponse
from isthmus.v1.telemetry_pb2 import Event, Failure, LocationPhase
from isthmus_cli import watch
from isthmus_cli.apply import result_lines
from isthmus_cli.document import dump, to_document
from isthmus_cli.terminal import OutputFilter, terminal_line
from isthmus_cli.view.agent import agent_lines, agent_table, creation_lines
from isthmus_cli.view.event import event_lines
from isthmus_cli.view.failure import failure_headline, failure_lines, violation_lines
from isthmus_cli.view.location import contents_text, load_failure_lines, location_lines, location_table
from isthmus_cli.view.output import note, print_document, print_document_line, print_documents, print_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.run import ending_lines, run_lines, run_table, target_text, why_text
from isthmus_cli.view.table import Room
from isthmus_cli.view.timeline import RunTimeline
from isthmus_dev.follow import run_text
from isthmus_dev.screen import Screen, loaded_text, ready_lines
from isthmus_dev.screen import failure_lines as load_lines

CONTROLS = "".join(map(chr, (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x61C, *range(0x200E, 0x2010))))
CONTROLS += "".join(map(chr, (*range(0x2028, 0x202F), *range(0x2066, 0x206A))))
#: A title for the window, something for the clipboard, a cleared screen, a hidden text, a forged line, a mark of ours.
SEQUENCES = "\x1b]0;title\x07\x1b]52;c;aGk=\x1b\\\x1b[2J\x1b[8mhidden\x1b[0m\r\nforged\ufdd0"
HOSTILE = f"begin{CONTROLS}{SEQUENCES}end"

#: How deep messages within messages are filled in: an event, its failure, the metadata of that, and a value.
DEPTH = 4
_LABEL_REPEATED = 3

_OURS = re.compile(r"\x1b\[(?:0|1|2|31|32|33|36)m")
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef]")


def filled(kind: type[Message], *, choice: int = 0, depth: int = DEPTH) -> Any:
    """A message with hostile text in each of its fields; of each oneof the field with the number `choice` is set."""
    message = kind()
    taken: set[str] = set()
    for field in fields_of(cast("Descriptor", kind.DESCRIPTOR), choice=choice):
        if field.containing_oneof is not None and not field.containing_oneof.name.startswith("_"):
            if field.containing_oneof.name in taken:
                continue
            taken.add(field.containing_oneof.name)
        fill(message, field, choice=choice, depth=depth)
    return message


def fields_of(descriptor: Descriptor, *, choice: int) -> list[FieldDescriptor]:
    """Fields, with the chosen member of each oneof before its siblings."""
    chosen = {group.fields[choice % len(group.fields)].name for group in descriptor.oneofs}
    return sorted(descriptor.fields, key=lambda field: field.name not in chosen)


def is_repeated(field: FieldDescriptor) -> bool:
    told = getattr(field, "is_repeated", None)
    return bool(told) if told is not None else getattr(field, "label", 0) == _LABEL_REPEATED


def fill(message: Message, field: FieldDescriptor, *, choice: int, depth: int) -> None:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if entry.fields_by_name["value"].message_type is None:
            key = HOSTILE if entry.fields_by_name["key"].cpp_type == FieldDescriptor.CPPTYPE_STRING else 1
            value = HOSTILE if entry.fields_by_name["value"].cpp_type == FieldDescriptor.CPPTYPE_STRING else 1
            getattr(message, field.name)[key] = value
        return
    if entry is not None:
        fill_inner(message, field, choice=choice, depth=depth)
        return
    value = scalar(field)
    if is_repeated(field):
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def fill_inner(message: Message, field: FieldDescriptor, *, choice: int, depth: int) -> None:
    if depth == 0:
        return
    kind = cast("Descriptor", field.message_type)
    target = getattr(message, field.name)
    if kind.full_name.startswith("google.protobuf."):
        if kind.full_name == "google.protobuf.Timestamp":
            (target.add() if is_repeated(field) else target).FromSeconds(1_900_000_000)
        return
    inner = filled(GetMessageClass(kind), choice=choice, depth=depth - 1)
    if is_repeated(field):
        target.append(inner)
    else:
        target.CopyFrom(inner)


def scalar(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return HOSTILE.encode()
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return HOSTILE
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    return 1


def variants(kind: type[Message]) -> Iterator[Any]:
    """One message for each member of the largest oneof, so that each is filled in once."""
    largest = max((len(group.fields) for group in kind.DESCRIPTOR.oneofs), default=1)
    # Metadata has more kinds of values than an update of a run has members.
    for choice in range(max(largest, 20)):
        yield filled(kind, choice=choice)


@pytest.fixture(params=[False, True], ids=["plain", "coloured"])
def paint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Paint:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1" if request.param else "")
    return Paint.of()


def timeline_of(update: RunUpdate) -> RunTimeline:
    timeline = RunTimeline()
    timeline.apply(update)
    timeline.failed[HOSTILE] = Failure(error_class=HOSTILE, message=HOSTILE)
    timeline.running[HOSTILE] = update.event.occurred_at
    return timeline


def views_of_run(run: Run, paint: Paint) -> list[str]:
    for state in range(9):
        run.state = state  # type: ignore[assignment]
        timeline = timeline_of(RunUpdate(run=run))
        print_lines(ending_lines(timeline, paint=paint))
        print_lines([run_text(run, paint=paint), target_text(run), why_text(run)])
    return [*run_table([run], paint=paint, room=Room(width=60)), *run_lines(run, paint=paint)]


def views_of_location(location: Location, paint: Paint) -> list[str]:
    lines = [
        *location_table([location], paint=paint, room=Room()),
        loaded_text(location),
        contents_text(location.snapshot),
    ]
    for phase in LocationPhase.values():
        location.phase = phase
        for placement in location.placements:
            placement.report.phase = phase
        lines += [*location_lines(location, paint=paint), *load_failure_lines(location, paint=paint)]
        lines += load_lines(location, server_option="", paint=paint)
        for is_waited_for in (True, False):
            lines += result_lines(location, paint=paint, is_waited_for=is_waited_for)
    lines += ready_lines([location, location], address="127.0.0.1:1", server_option="", paint=paint)
    return lines


def views_of_agent(agent: Agent, paint: Paint) -> list[str]:
    lines = [*agent_table([agent], paint=paint, room=Room()), *agent_lines(agent, paint=paint)]
    for state in range(6):
        agent.state = state  # type: ignore[assignment]
        lines += creation_lines(agent, paint=paint)
    return lines


def views_of_event(event: Event, paint: Paint) -> list[str]:
    return event_lines(event, took_s=1.0, paint=paint)


def views_of_update(update: RunUpdate, paint: Paint) -> list[str]:
    lines = []
    for is_live in (True, False):
        lines += watch.update_lines(update, timeline=RunTimeline(), paint=paint, is_live=is_live)
    shown = watch.live_lines(timeline_of(update), now=update.event.occurred_at.ToDatetime(tzinfo=UTC))
    return [*lines, *shown]


def views_of_answer(answer: ValidateLaunchResponse, paint: Paint) -> list[str]:
    failure = answer.failure
    return [
        *violation_lines(answer.violations, paint=paint),
        *failure_lines(failure, paint=paint),
        failure_headline(failure),
    ]


VIEWS: dict[type[Message], Callable[[Any, Paint], list[str]]] = {
    Run: views_of_run,
    Location: views_of_location,
    Agent: views_of_agent,
    Event: views_of_event,
    RunUpdate: views_of_update,
    ValidateLaunchResponse: views_of_answer,
}


def assert_harmless(text: str, *, is_colored: bool) -> None:
    rest = _OURS.sub("", text) if is_colored else text
    found = _FORBIDDEN.search(rest)
    assert found is None, f"{found[0]!r} in {rest[max(found.start() - 60, 0) : found.end() + 20]!r}"


@pytest.mark.parametrize("kind", VIEWS, ids=lambda kind: kind.__name__)
def test_no_view_lets_a_control_character_through(
    kind: type[Message], paint: Paint, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = ""
    for message in variants(kind):
        print_lines(VIEWS[kind](message, paint))
        seen += capsys.readouterr().out
    assert "\\x1b]0;title\\x07" in seen
    assert_harmless(seen, is_colored=paint.is_colored)


@pytest.mark.parametrize("kind", [*VIEWS, ListRunsPage], ids=lambda kind: kind.__name__)
def test_no_document_lets_one_through_and_each_says_what_was_there(
    kind: type[Message], capsys: pytest.CaptureFixture[str]
) -> None:
    # One place writes every field alike: what a oneof holds makes no difference.
    for message in list(variants(kind))[::7]:
        print_document(message)
        print_documents([message])
        print_document_line(message)
        out = capsys.readouterr().out
        assert_harmless(out.replace("\ufdd0", ""), is_colored=False)
        assert json.loads(dump(to_document(message))) == json.loads(json.dumps(to_document(message)))


def test_notes_and_what_happens_in_dev_are_escaped_too(paint: Paint, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(paint=paint, is_terminal=True)
    for text in (HOSTILE.replace("\n", ""), paint.red(HOSTILE.replace("\n", ""))):
        note(text)
        screen.happened(text)
    with screen.step("definitions") as step:
        step.facts = HOSTILE
    out, err = capsys.readouterr()
    assert_harmless(out.replace("\r\x1b[K", ""), is_colored=paint.is_colored)
    assert_harmless(err, is_colored=paint.is_colored)


def test_a_name_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(agent="a\nstate     SUCCEEDED")
    run.request.tags["t"] = "1\r\nSUCCEEDED"
    print_lines(run_lines(run, paint=Paint()))
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith(("SUCC", "state     SUCC"))]


def test_an_escaped_line_keeps_its_columns() -> None:
    lines = agent_table([Agent(name="a\x1b[2J"), Agent(name="plain")], paint=Paint(), room=Room())
    first, second = (terminal_line(line, is_colored=False) for line in lines[1:])
    assert first.index("UNSPECIFIED") == second.index("UNSPECIFIED")


def test_output_keeps_its_colours_on_a_terminal_and_nothing_else() -> None:
    filter = OutputFilter()  # noqa: A001 - the word
    raw = f"\x1b[1;31mred\x1b[0m\tok\r\n{HOSTILE}\x1b[38;5;9".encode()
    # Byte by byte: a sequence, or a character, may end in the next piece.
    text = "".join(filter.feed(bytes([byte])) for byte in raw) + filter.feed(b"", is_last=True)
    assert text.startswith("\x1b[1;31mred\x1b[0m\tok\r\nbegin\\x00")
    assert text.endswith("end\\x1b[38;5;9")
    assert_harmless(re.sub(r"\x1b\[[0-9;]*m|\r\n", "", text.replace("\ufdd0", "")), is_colored=False)
    assert "ü" in OutputFilter().feed("ü".encode())
