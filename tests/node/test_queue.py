"""One answer for each image and model, whatever is sent again or killed."""

from pathlib import Path

import pytest

from bayescope.node.database import Database
from bayescope.node.queue import Instance, Queue, Result
from nodes import instance, route_all


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Database(tmp_path / "queue.sqlite"))


def test_an_image_is_claimed_once_for_each_model(queue: Queue) -> None:
    assert queue.add(instance())
    route_all(queue, "a", "b")
    assert [len(queue.claim(model, 9)) for model in "aabbc"] == [1, 0, 1, 0, 0]


def test_what_is_sent_again_is_read_by_a_new_model_only(queue: Queue) -> None:
    queue.add(instance())
    route_all(queue, "a")
    (task,) = queue.claim("a", 9)
    queue.answer(task, [Result("2.1", "2.1.dcm")], ["archive"])
    assert not queue.add(instance())
    route_all(queue, "a", "b")
    assert [len(queue.claim(model, 9)) for model in "ab"] == [0, 1]


def test_an_answer_given_twice_is_one_result(queue: Queue) -> None:
    database = queue._database
    queue.add(instance())
    route_all(queue, "a")
    (task,) = queue.claim("a", 9)
    for _ in range(2):
        queue.answer(task, [Result("2.1", "2.1.dcm")], ["archive", "other"])
    assert [database.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("results", "deliveries")] == [1, 2]
    assert queue.is_result("2.1")
    assert not queue.is_result("1.2")


def test_what_a_killed_node_was_reading_is_read_again_alone_and_at_last_fails(queue: Queue) -> None:
    for uid in ("1.1", "1.2", "1.3"):
        queue.add(instance(uid))
    route_all(queue, "a")
    assert len(queue.claim("a", 2)) == 2
    assert queue.recover(attempts=2) == 2
    queue.add(instance("1.4"))
    route_all(queue, "a")
    batches = [[task.instance.sop_instance_uid for task in queue.claim("a", 9)] for _ in range(4)]
    assert batches == [["1.3", "1.4"], ["1.1"], ["1.2"], []]
    assert queue.recover(attempts=2) == 2
    failed = queue._database.rows("SELECT error FROM answers WHERE state = 'failed'")
    assert [row[0] for row in failed] == ["the node was killed 2 times while it read this image"] * 2


def test_released_images_lose_no_attempt(queue: Queue) -> None:
    queue.add(instance())
    route_all(queue, "a")
    for _ in range(3):
        tasks = queue.claim("a", 9)
        assert [task.attempts for task in tasks] == [0]
        queue.release(tasks)


def test_what_is_skipped_is_recorded_with_its_reason(queue: Queue) -> None:
    queue.add(instance())
    (found,) = queue.received(9)
    queue.skip(found.id, "modality CT")
    queue.add(Instance("1.5", "1.2.840", "1.9", "", "http://server"), "60 frames")
    rows = queue._database.rows("SELECT sop_instance_uid, reason FROM instances WHERE state = 'skipped' ORDER BY id")
    assert [tuple(row) for row in rows] == [("1.2", "modality CT"), ("1.5", "60 frames")]
    assert queue.received(9) == []


def test_the_file_is_put_in_place_within_the_transaction(queue: Queue) -> None:
    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        queue.add(instance(), keep=fail)
    assert queue.find("1.2") is None
    queue.add(instance())
    assert queue.find("1.2") == instance()
    assert queue.files() == ({"1.2.dcm"}, set())
