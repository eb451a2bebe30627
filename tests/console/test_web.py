"""The pages' scripts: what of them is pure has tests of its own, and all that is built is small."""

import gzip
import subprocess
import sys
from pathlib import Path

from isthmus_console.looks import STATIC_FOLDER

WEB = Path(__file__).parents[2] / "services/console/web"


def test_pure_parts_of_the_scripts_do_as_their_tests_say() -> None:
    node = Path(sys.executable).with_name("node")
    done = subprocess.run([node, "--test", "test/*.test.ts"], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout


def test_scripts_stay_below_what_a_page_may_load() -> None:
    scripts = list(STATIC_FOLDER.glob("*.js"))
    assert scripts
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) < 150_000


def test_what_is_installed_is_locked_and_names_no_place() -> None:
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"integrity"' in lock
    assert "://" not in lock
