"""A page that is executed is executed whole."""

import os
import re
import signal
import time

import pytest
from docs_pages.shell import Command
from docs_pages.walkthrough import Stop, Type, Write, steps_of
from support.walkthrough import ROOT

COMMAND = re.compile(r"^(?:\$ )?(?:\. |cd |docker |export |isthmus|make |mkdir |python3? |sh )", re.MULTILINE)
#: What cannot be executed by a test, since it is what runs the tests.
ELSEWHERE = ["make test"]
PAGE = """\
# One
<!-- until: ready -->
```sh
first  # a word
serve
```
## 2. Two
```python title="a.py"
x = 1
```
<!-- fails: 3 -->
```sh
one \\
  two
```
<!-- stop: serve -->
<!-- elsewhere -->
```sh
not here
```
```text
nor this
```
"""


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_no_command_of_the_page_escapes_the_shell(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    typed = {command for step in steps_of(text) if isinstance(step, Type) for command in step.commands}
    for language, title, block in re.findall(r"^```(\w*)( title=\S+)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if title or not COMMAND.search(block):
            continue
        assert language == "sh", block
        lines = [re.sub(r"\s+# .*$", "", line) for line in block.splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if line not in typed and line not in ELSEWHERE] == []


def test_stage_directions_belong_to_the_block_below_them() -> None:
    assert list(steps_of(PAGE)) == [
        Type(section="One", commands=("first", "serve"), until="ready"),
        Write(section="2. Two", path="a.py", text="x = 1\n"),
        Type(section="2. Two", commands=("one    two",), exit_code=3),
        Stop(section="2. Two", command="serve"),
    ]


def test_ctrl_c_is_heard_where_the_tests_themselves_do_not_hear_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        left_running = Command("sleep", "echo sleeping; exec sleep 3600", columns=80, env=os.environ)
        left_running.wait_printed("sleeping")
        began = time.monotonic()
        left_running.interrupt()
        assert time.monotonic() - began < 600
    finally:
        signal.signal(signal.SIGINT, before)
