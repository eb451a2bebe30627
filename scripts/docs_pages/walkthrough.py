"""Pages whose commands can be executed: what a reader does, step by step.

Blocks marked `sh` are typed into a shell, one after the other; blocks with a `title` are files that the reader writes. Comments
before a block are stage directions: `<!-- until: TEXT -->` leaves the last command running once it printed the text,
`<!-- fails: N -->` expects an exit code, `<!-- then: TEXT -->` waits until something that was left running prints the text,
`<!-- stop: COMMAND -->` is Ctrl-C for such a command, and `<!-- elsewhere -->` is a block that is not executed here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?$")
_DIRECTION = re.compile(r"^<!-- (until|fails|then|stop|elsewhere)(?:: (.*))? -->$")


@dataclass(frozen=True, kw_only=True)
class Write:
    """A file is written."""

    section: str
    path: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Type:
    """Commands are typed."""

    section: str
    commands: tuple[str, ...]
    #: What the last one ends with; the others end with 0.
    exit_code: int = 0
    #: The last one is left running once it printed this.
    until: str = ""
    #: What something that was left running prints then.
    then: str = ""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Ctrl-C is pressed where a command runs."""

    section: str
    command: str


Step = Write | Type | Stop


def steps_of(page: str, *, shell: str = "sh") -> Iterator[Step]:
    """Return what a reader of the page does, in order.

    Args:
        page: Markdown.
        shell: The language of the blocks that are typed.
    """
    section, said = "", dict[str, str]()
    lines = iter(page.splitlines())
    for line in lines:
        fence, direction = _FENCE.match(line), _DIRECTION.match(line)
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif direction and direction[1] == "stop":
            yield Stop(section=section, command=direction[2])
        elif direction:
            said[direction[1]] = direction[2] or ""
        elif fence:
            text = "\n".join(_until_fence(lines)) + "\n"
            if fence[2]:
                yield Write(section=section, path=fence[2], text=text)
            elif fence[1] == shell and "elsewhere" not in said:
                yield _typed(text, section=section, said=said)
            said = {}


def _until_fence(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == "```":
            return
        yield line


def _typed(text: str, *, section: str, said: dict[str, str]) -> Type:
    joined = text.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return Type(
        section=section,
        commands=tuple(re.sub(r"\s+# .*$", "", line) for line in lines),
        exit_code=int(said.get("fails", 0)),
        until=said.get("until", ""),
        then=said.get("then", ""),
    )
