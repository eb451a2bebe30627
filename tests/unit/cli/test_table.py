"""Tables that fit the window."""

from isthmus_cli.view.table import Column, Room, short_ids, table
from isthmus_cli.view.text import width_of

COLUMNS = (
    Column("RUN"),
    Column("JOB", least=8),
    Column("PLACE", may_go=True),
    Column("BY", is_extra=True),
    Column("WHY", least=10),
)
ROW = ("0f6b3c1e", "nightly_report", "somewhere", "ada", "step load: KeyError: what was looked for is not there")


def widths(width: int) -> list[int]:
    return [width_of(line) for line in table(COLUMNS, [ROW], room=Room(width=width))]


def test_where_there_is_room_nothing_is_cut_or_left_out() -> None:
    head, line = table(COLUMNS, [ROW], room=Room())
    assert head.split() == ["RUN", "JOB", "PLACE", "WHY"]
    assert line == "  ".join((*ROW[:3], ROW[4]))


def test_a_column_that_may_go_goes_before_another_is_cut() -> None:
    head, line = table(COLUMNS, [ROW], room=Room(width=79))
    assert head.split() == ["RUN", "JOB", "WHY"]
    assert "nightly_report  step load: KeyError: what was looked for is not there" in line


def test_a_long_text_is_cut_to_what_is_left() -> None:
    assert max(widths(60)) == 60
    assert max(widths(40)) == 40
    line = table(COLUMNS, [ROW], room=Room(width=40))[1]
    assert line.startswith("0f6b3c1e  ")
    assert line.endswith("…")


def test_below_its_least_widths_a_table_is_wider_than_the_window() -> None:
    assert max(widths(10)) == 8 + 2 + 8 + 2 + 10


def test_all_columns_are_shown_when_asked_for_and_the_head_is_left_out() -> None:
    (line,) = table(COLUMNS, [ROW], room=Room(is_wide=True, has_head=False))
    assert line == "  ".join(ROW)


def test_ids_are_as_short_as_tells_them_apart() -> None:
    ids = ["0f6b3c1e-8c1e-4f43", "0f6b3c1e-8c1e-5f43", "a0000000-0000-0000"]
    assert short_ids(ids[1:], room=Room(width=80)) == ["0f6b3c1e", "a0000000"]
    assert short_ids(ids, room=Room(width=80)) == ["0f6b3c1e-8c1e-4", "0f6b3c1e-8c1e-5", "a0000000-0000-0"]
    assert short_ids(ids, room=Room()) == ids
