"""Results that could not be sent: waits that double, and dead letters in the end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescope.node.config import DeliveryConfig
from bayescope.node.database import Database
from bayescope.node.outbox import Outbox, wait_after
from bayescope.node.queue import Queue, Result
from nodes import instance, route_all

CONFIG = DeliveryConfig(first_wait_s=10, longest_wait_s=100, give_up_days=1, batch=2)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Outbox:
    """Three results for one destination."""
    database = Database(tmp_path / "queue.sqlite")
    queue = Queue(database, clock)
    queue.add(instance())
    route_all(queue, "a")
    (task,) = queue.claim("a", 1)
    queue.answer(task, [Result(f"2.{i}", f"{i}.dcm") for i in range(3)], ["archive"])
    return Outbox(database, CONFIG, clock)


@given(attempts=st.integers(1, 10**6))
def test_waits_double_up_to_the_longest(attempts: int) -> None:
    assert wait_after(attempts, CONFIG) == min(100, 10 * 2 ** (min(attempts, 40) - 1))


def test_what_is_sent_is_not_due_again(outbox: Outbox) -> None:
    first = outbox.due("archive")
    assert [delivery.file for delivery in first] == ["0.dcm", "1.dcm"]
    outbox.sent(first)
    assert [delivery.file for delivery in outbox.due("archive")] == ["2.dcm"]
    assert outbox.due("elsewhere") == []


def test_what_failed_waits_twice_as_long_each_time(outbox: Outbox, clock: Clock) -> None:
    (other, delivery), waits = outbox.due("archive"), []
    outbox.sent([other])
    for _ in range(5):
        assert not outbox.failed(delivery, "no association")
        before = clock.now
        while delivery.id not in [found.id for found in outbox.due("archive")]:
            clock.now += 1
        waits.append(clock.now - before)
        (delivery,) = [found for found in outbox.due("archive") if found.id == delivery.id]
    assert waits == [10, 20, 40, 80, 100]


def test_after_the_last_day_it_is_a_dead_letter(outbox: Outbox, clock: Clock) -> None:
    delivery = outbox.due("archive")[0]
    clock.now += 86399
    assert not outbox.failed(delivery, "no association")
    clock.now += 1
    assert outbox.failed(delivery, "no association")
    clock.now += 10**6
    assert delivery.file not in [found.file for found in outbox.due("archive")]
