"""No loop of ours spins."""

from pathlib import Path
from textwrap import dedent

import pytest
from support.loops import python_files, spinning_loops

ROOT = Path(__file__).resolve().parents[2]


def test_every_endless_loop_pauses_on_every_way_round() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files([ROOT / "agent", ROOT / "broker", ROOT / "services"])
        if ".venv" not in path.parts
        for line in spinning_loops(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("body", "spins"),
    [
        ("await asyncio.sleep(1)", False),
        ("work()", True),
        ("await self._try()", True),
        ("await event.wait()", False),
        ("if done:\n    return\nawait asyncio.sleep(1)", False),
        ("if busy:\n    continue\nawait asyncio.sleep(1)", True),
        ("if busy:\n    await asyncio.sleep(1)\nelse:\n    await event.wait()", False),
        ("async for item in items:\n    work(item)", False),
        ("for item in items:\n    await asyncio.sleep(1)", True),
        ("try:\n    return await ask()\nexcept Trouble:\n    await asyncio.sleep(1)", False),
        ("try:\n    await asyncio.sleep(1)\nexcept Trouble:\n    pass", True),
        # Once seen in a launch handler: nothing paused where another was faster.
        (
            "try:\n    found = await ask()\nexcept Trouble:\n    await asyncio.sleep(1)\nelse:\n    if found:\n        return",
            True,
        ),
        ("with boundary.guard():\n    await asyncio.sleep(1)", True),
        ("with suppress(TimeoutError):\n    await event.wait()", False),
    ],
)
def test_which_loops_spin(*, body: str, spins: bool) -> None:
    loop = "async def loop():\n    while True:\n" + "".join(f"        {line}\n" for line in dedent(body).splitlines())
    assert list(spinning_loops(loop)) == ([2] if spins else [])
