"""What a location was to be, as a table."""

from collections.abc import Iterable

from isthmus.v1.control_plane_pb2 import LocationGeneration

from isthmus_cli.view.location import source_text
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import moment_text

_GENERATIONS = (
    Column("GENERATION"),
    Column("APPLIED"),
    Column("BY", least=6),
    Column("COMMIT", least=8),
    Column("WHAT", least=12, may_go=True),
    Column("CODE", least=12, may_go=True),
    Column("URL", is_extra=True),
)
#: So many characters of a commit tell it from others for a person.
_SHORT = 12


def generation_table(generations: Iterable[LocationGeneration], *, room: Room) -> list[str]:
    """List generations, one per line."""
    rows = [
        (
            str(it.generation),
            moment_text(it.applied_at),
            it.applied_by or "-",
            _commit(it, room=room) or "-",
            it.code_version.message or it.code_version.branch,
            it.settings.container.image or source_text(it.settings.source),
            it.code_version.url,
        )
        for it in generations
    ]
    return table(_GENERATIONS, rows, room=room)


def _commit(it: LocationGeneration, *, room: Room) -> str:
    commit, mark, rest = it.code_version.commit.partition("+")
    return (commit if room.is_wide else commit[:_SHORT]) + mark + rest
