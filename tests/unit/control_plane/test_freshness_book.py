"""Which assets' freshness changed, and when the next one's does."""

from datetime import UTC, datetime, timedelta

from isthmus_control_plane.catalog.freshness_book import FreshnessBook
from isthmus_control_plane.validation.policy import Freshness
from isthmus_store.asset_freshness import FreshnessRow

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOURLY = Freshness("time_window", fail_after_s=3600, warn_after_s=1800)
DAILY = Freshness("cron", deadline="0 9 * * *", lower_bound_s=3600)
ORDERS, SALES = ("prod", "orders"), ("prod", "sales")


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def told(book: FreshnessBook, at: datetime) -> dict[str, str]:
    rows = book.changes(at)
    book.tell(rows)
    return {it.asset: it.state for it in rows}


def test_each_change_is_told_once_and_at_its_moment() -> None:
    book = FreshnessBook()
    assert book.replace({ORDERS: HOURLY, SALES: DAILY}, made={ORDERS: NOON}, told=(), now=NOON) == []
    assert told(book, NOON) == {"orders": "PASSING"}
    assert book.next_at() == after(30)
    assert told(book, after(29)) == {}
    assert told(book, after(30)) == {"orders": "WARNING"}
    assert told(book, after(31)) == {}
    assert book.next_at() == after(60)
    assert told(book, after(500)) == {"orders": "FAILING"}
    assert book.next_at() is None


def test_what_is_made_anew_is_fresh_at_once_and_what_is_wiped_unknown() -> None:
    book = FreshnessBook()
    book.replace({ORDERS: HOURLY}, made={ORDERS: NOON - timedelta(days=1)}, told=(), now=NOON)
    assert told(book, NOON) == {"orders": "FAILING"}
    book.made(ORDERS, after(1), now=after(1))
    book.made(SALES, after(1), now=after(1))
    assert book.next_at() == after(1)
    assert told(book, after(1)) == {"orders": "PASSING"}
    book.made(ORDERS, None, now=after(2))
    assert told(book, after(2)) == {"orders": "UNKNOWN"}
    assert book.next_at() is None


def test_what_could_not_be_written_is_told_again() -> None:
    book = FreshnessBook()
    book.replace({ORDERS: HOURLY}, made={ORDERS: NOON}, told=(), now=NOON)
    assert [it.state for it in book.changes(NOON)] == ["PASSING"]
    assert [it.state for it in book.changes(after(1))] == ["PASSING"]


def test_what_was_told_before_is_not_told_again_and_goes_with_its_policy() -> None:
    row = FreshnessRow(deployment="prod", asset="orders", state="WARNING", changed_at=NOON)
    newer = FreshnessRow(deployment="prod", asset="sales", state="of a later release", changed_at=NOON)
    gone = FreshnessRow(deployment="prod", asset="gone", state="FAILING", changed_at=NOON)
    book = FreshnessBook()
    made = {ORDERS: after(-40), SALES: after(-200)}
    assert book.replace({ORDERS: HOURLY, SALES: HOURLY}, made=made, told=(row, newer, gone), now=NOON) == [gone]
    assert told(book, NOON) == {"sales": "FAILING"}
    assert book.next_at() == after(20)


def test_another_policy_is_judged_at_once() -> None:
    book = FreshnessBook()
    book.replace({ORDERS: HOURLY}, made={ORDERS: NOON}, told=(), now=NOON)
    assert told(book, NOON) == {"orders": "PASSING"}
    rows = [FreshnessRow(deployment="prod", asset="orders", state="PASSING", changed_at=NOON)]
    short = Freshness("time_window", fail_after_s=60)
    book.replace({ORDERS: short}, made={ORDERS: NOON}, told=rows, now=after(2))
    assert told(book, after(2)) == {"orders": "FAILING"}


def test_a_clock_that_is_set_back_makes_assets_younger() -> None:
    book = FreshnessBook()
    book.replace({ORDERS: HOURLY}, made={ORDERS: NOON}, told=(), now=NOON)
    assert told(book, after(61)) == {"orders": "FAILING"}
    assert told(book, after(1)) == {"orders": "PASSING"}
    assert told(book, after(30)) == {"orders": "WARNING"}
