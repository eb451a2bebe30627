"""Lines of items, from each in turn."""

import asyncio

import pytest
from isthmus_broker.rota import Rota


def filled(**lines: int) -> Rota[str]:
    rota: Rota[str] = Rota()
    for line, count in lines.items():
        for number in range(count):
            rota.put(line, f"{line}{number}")
    return rota


def taken(rota: Rota[str]) -> list[str]:
    return [rota.take() for _ in range(len(rota))]


def test_each_line_has_its_turn_and_keeps_its_order() -> None:
    assert taken(filled(a=4, b=2, c=1)) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_who_comes_late_waits_for_one_item_of_each() -> None:
    rota = filled(a=1000, b=1000)
    assert [rota.take(), rota.take(), rota.take()] == ["a0", "b0", "a1"]
    rota.put("late", "late0")
    assert [rota.take(), rota.take(), rota.take()] == ["b1", "a2", "late0"]


def test_the_next_is_what_is_taken() -> None:
    rota = filled(a=1)
    assert rota.next() == "a0"
    assert rota.take() == "a0"
    assert rota.next() is None
    with pytest.raises(IndexError):
        rota.take()


def test_a_line_is_forgotten_alone() -> None:
    rota = filled(a=3, b=2)
    rota.forget("a")
    rota.forget("nobody")
    assert rota.waiting("a") == 0
    assert taken(rota) == ["b0", "b1"]


async def test_waiting_ends_with_the_first_item_and_begins_again_with_the_last() -> None:
    rota = filled(a=1)
    await rota.wait()
    rota.take()
    for empty in (rota, filled()):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await empty.wait()
    again = filled(a=1)
    again.clear()
    assert len(again) == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await again.wait()
