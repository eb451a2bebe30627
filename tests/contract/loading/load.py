"""Loads sources in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isthmus_code_server.definitions.source import DefinitionsSource

PROJECTS = Path(__file__).parent / "projects"


def load_all(sources: Sequence[DefinitionsSource], *, home: Path) -> list[dict[str, Any]]:
    """Return what each source defines, as loader.py tells it."""
    done = subprocess.run(
        (sys.executable, str(Path(__file__).with_name("loader.py")), str(home)),
        input=json.dumps([asdict(source) for source in sources]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told
