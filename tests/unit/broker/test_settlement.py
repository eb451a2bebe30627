"""How long a message waits that is to be delivered again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_broker.settlement import RetryPauses, retry_pause_s
from support.eventually import eventually, patiently


def test_pauses_grow_to_a_bound() -> None:
    pauses = [retry_pause_s(earlier, minimum_s=0.1, maximum_s=15.0) for earlier in range(20)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15.0
    assert 120 < sum(pauses) < 600


@given(st.integers(min_value=-(2**70), max_value=2**70))
def test_no_count_makes_a_pause_that_is_none(earlier: int) -> None:
    assert 0.1 <= retry_pause_s(earlier, minimum_s=0.1, maximum_s=15.0) <= 15.0


async def test_one_too_many_lets_the_first_go() -> None:
    pauses = RetryPauses(places=2, minimum_s=3600, maximum_s=3600)
    gone: list[str] = []

    async def wait(name: str) -> None:
        await pauses.wait(0)
        gone.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in ("first", "second", "third"):
            tasks.create_task(wait(name))
        await eventually(lambda: gone, within=10)
        assert gone == ["first"]
        pauses.end()
    assert sorted(gone) == ["first", "second", "third"]


@pytest.mark.parametrize("places", [0, 3])
async def test_after_the_end_nothing_is_held_back(places: int) -> None:
    pauses = RetryPauses(places=places, minimum_s=3600, maximum_s=3600)
    pauses.end()
    async with patiently(30):
        await pauses.wait(5)
