"""What the link makes of foreign errors, and how long it waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_broker.link import LINK_ERRORS, naming_losses
from isthmus_lifecycle.backoff import Backoff


def test_a_nameless_error_is_the_loss_of_the_channel() -> None:
    with pytest.raises(LINK_ERRORS), naming_losses():
        raise Exception  # noqa: TRY002 (as aiormq does)


def test_an_error_of_ours_keeps_its_name() -> None:
    with pytest.raises(KeyError), naming_losses():
        raise KeyError("ours")


@given(st.floats(0.01, 1), st.floats(1, 60), st.integers(1, 30))
def test_waits_grow_to_their_bound_and_start_over(minimum_s: float, maximum_s: float, tries: int) -> None:
    backoff = Backoff(minimum_s, maximum_s)
    waits = [backoff.next_wait_s() for _ in range(tries)]
    assert all(minimum_s / 2 <= wait <= maximum_s for wait in waits)
    backoff.reset()
    assert backoff.next_wait_s() <= minimum_s
