"""What may lie where a file is expected."""

import os
from pathlib import Path
from typing import Final

#: None of them is a file.
ODDITIES: Final = ("pipe", "link", "dead link", "folder")


def put_oddity(path: Path, oddity: str) -> Path:
    """Put one of `ODDITIES` in a file's place; returns a file that nobody is to be led to."""
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_text("of somebody else")
    match oddity:
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(elsewhere)
        case "dead link":
            path.symlink_to(path.parent / "nowhere")
        case _:
            (path / "inner").mkdir(parents=True)
    return elsewhere
