"""What agents before the journal took down: a file for each instruction. It is read once, and then removed."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1 import instruction_pb2 as instruction
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import make_way, read_plain

log = get_logger(__name__)

_SUFFIX: Final = ".binpb"
_DRAFT_SUFFIX: Final = ".new"


def earlier_instructions(folder: Path) -> Iterator[tuple[Path, instruction.Instruction]]:
    """Give the files in the order in which their instructions came; one that is unreadable is kept aside."""
    for draft in folder.glob(f"*{_DRAFT_SUFFIX}"):
        with suppress(OSError):
            make_way(draft)
            draft.unlink(missing_ok=True)
    for path in sorted(path for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal()):
        try:
            yield path, instruction.Instruction.FromString(read_plain(path))
        except (OSError, DecodeError) as error:
            # The control plane ends what is never answered.
            log.error("taken_instruction_unreadable", path=str(path), error=str(error))  # noqa: TRY400 (the message says it all)
            with suppress(OSError):
                path.rename(path.with_suffix(".bad"))
