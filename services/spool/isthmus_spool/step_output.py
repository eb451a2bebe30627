"""Where steps that run in processes of their own leave their output: files beside the run's, named by the step.

Used in forked children: imports nothing that starts threads or event loops.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.unfollowed import open_unfollowed

_FOLDER = "steps"
#: File systems take 255 bytes; longer names are cut, and the whole name is kept beside.
_LONGEST = 200
#: No step's key is longer, characters.
_LONGEST_KEY = 64 * 1024
_STDOUT, _STDERR, _NAME = ".stdout", ".stderr", ".name"


@dataclass(frozen=True)
class StepOutput:
    """The files of one step; they need not be there."""

    step_key: str
    stdout: Path
    stderr: Path


def step_output(folder: AttemptFolder, step_key: str) -> StepOutput:
    """Return where a step's output lies."""
    place = folder.path / _FOLDER
    name = _file_name(step_key)
    return StepOutput(step_key, place / (name + _STDOUT), place / (name + _STDERR))


def make_step_output(folder: AttemptFolder, step_key: str) -> StepOutput:
    """Return where a step's output is to be written, with the folder made; each try of the step appends.

    Raises:
        OSError: The disk is full or gone.
    """
    place = folder.path / _FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    if _is_cut(step_key):
        (place / (_file_name(step_key) + _NAME)).write_text(step_key, encoding="utf-8")
    return step_output(folder, step_key)


def list_step_outputs(folder: AttemptFolder) -> Iterator[StepOutput]:
    """Yield the steps that have files of their own, sorted by file name."""
    place = folder.path / _FOLDER
    names: set[str] = set()
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            name, _, ending = entry.name.rpartition(".")
            # What user code put here under a name that is no text is no step's.
            if f".{ending}" in (_STDOUT, _STDERR) and name.isascii():
                names.add(name)
    for name in sorted(names):
        with suppress(OSError):
            yield StepOutput(_step_key(place, name), place / (name + _STDOUT), place / (name + _STDERR))


def course_journal(folder: AttemptFolder) -> Path:
    """Return the journal of the steps' turns, with how far their output had come at each: it stays with the output."""
    return folder.path / "steps.journal"


def _file_name(step_key: str) -> str:
    name = _quoted(step_key)
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 33]}~{hashlib.sha256(step_key.encode()).hexdigest()[:32]}"


def _is_cut(step_key: str) -> bool:
    return len(_quoted(step_key)) > _LONGEST


def _quoted(step_key: str) -> str:
    # "~" marks a cut name, and quote would leave it as it is.
    return quote(step_key, safe="[]").replace("~", "%7E")


def _step_key(place: Path, name: str) -> str:
    if "~" not in name:
        return unquote(name)
    with open(place / (name + _NAME), encoding="utf-8", errors="replace", opener=open_unfollowed) as file:
        return file.read(_LONGEST_KEY)
