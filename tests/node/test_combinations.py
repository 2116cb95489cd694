"""Which studies are complete, and that each is combined once for the images it has."""

from itertools import count
from pathlib import Path

import pytest

from bayescope.node.combinations import Combinations, Study
from bayescope.node.database import Database
from bayescope.node.queue import Instance, Queue, Result
from nodes import route_all

MODEL = "a"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Here:
    """A queue and its studies, complete after ten seconds of quiet."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.database = Database(path)
        self.queue = Queue(self.database, self.clock)
        self.studies = Combinations(self.database, 10.0, self.clock)

    def receive(self, uid: str, study: str = "1.9") -> None:
        self.queue.add(Instance(uid, "1.2.840", study, f"{uid}.dcm", "TESTER"))

    def read(self, fails: str = "") -> None:
        """All that has come, as of an image that ``fails``."""
        route_all(self.queue, MODEL)
        for task in self.queue.claim(MODEL, 99):
            if task.instance.sop_instance_uid == fails:
                self.queue.fail(task, "too small")
            else:
                self.queue.answer(task, [], [], is_combined=True)

    def after(self, seconds: float) -> Study | None:
        self.clock.now += seconds
        return self.studies.claim(MODEL)

    def states(self) -> list[tuple[str, str]]:
        return [tuple(row) for row in self.database.rows("SELECT state, error FROM combinations ORDER BY id")]


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "q")


def steps_of_a_claim(path: Path, n_others: int) -> int:
    """Steps of SQLite, in hundreds, to claim a study of four images where so many others are done and so many wait."""
    here = Here(path)
    with here.database.transaction() as connection:
        states = ["combined"] * n_others + ["waiting"] * (n_others + 1)
        for study, state in enumerate(states):
            connection.execute(
                "INSERT INTO combinations (study_instance_uid, model, state, changed) VALUES (?, ?, ?, 0)",
                (f"1.9.{study}", MODEL, state),
            )
            for image in range(4):
                found = connection.execute(
                    "INSERT INTO instances (sop_instance_uid, sop_class_uid, study_instance_uid, file, source, state, received,"
                    " changed) VALUES (?, '1.2', ?, '', '', 'routed', 0, 0)",
                    (f"1.{study}.{image}", f"1.9.{study}"),
                )
                connection.execute(
                    "INSERT INTO answers (instance_id, model, state, changed) VALUES (?, ?, 'answered', 0)",
                    (found.lastrowid, MODEL),
                )
    steps = count()
    connection.set_progress_handler(lambda: 0 * next(steps), 100)
    claimed = here.after(0)
    connection.set_progress_handler(None, 0)
    assert claimed
    assert len(claimed.answered) == 4
    here.database.close()
    return next(steps)


def uids(images: tuple[Instance, ...]) -> list[str]:
    return [image.sop_instance_uid for image in images]


def test_a_study_is_complete_when_nothing_new_came_for_a_while(here: Here) -> None:
    here.receive("1.2")
    here.read()
    assert here.after(9) is None
    here.receive("1.1")
    here.read()
    assert here.after(9) is None
    here.receive("1.1")  # it is known
    here.read()
    study = here.after(1)
    assert study is not None
    assert (uids(study.answered), uids(study.failed), study.study_instance_uid) == (["1.1", "1.2"], [], "1.9")
    assert here.after(99) is None, "it is being combined"


def test_what_is_to_be_routed_or_read_is_waited_for(here: Here) -> None:
    for uid in ("1.1", "1.2"):
        here.receive(uid)
    here.read()
    here.receive("1.3")
    assert here.after(99) is None, "one is to be routed"
    route_all(here.queue, MODEL)
    assert here.after(99) is None, "one is to be read"
    (task,) = here.queue.claim(MODEL, 9)
    assert here.after(99) is None, "one is being read"
    here.queue.fail(task, "too small")
    study = here.after(0)
    assert study is not None
    assert (uids(study.answered), uids(study.failed)) == (["1.1", "1.2"], ["1.3"])


def test_studies_are_apart_and_so_are_models(here: Here) -> None:
    for uid, study in (("1.1", "1.8"), ("1.2", "1.9")):
        here.receive(uid, study)
    here.read()
    here.clock.now += 10
    assert here.studies.claim("b") is None
    found = [here.studies.claim(MODEL) for _ in range(3)]
    assert [study and study.study_instance_uid for study in found] == ["1.8", "1.9", None]


def test_an_image_that_comes_later_makes_it_wait_again(here: Here) -> None:
    for uid in ("1.1", "1.2"):
        here.receive(uid)
    here.read()
    first = here.after(10)
    assert first
    here.studies.record(first, [Result("2.1", "2.1.dcm")], ["archive"])
    assert here.after(99) is None
    here.receive("1.3")
    here.read()
    assert here.after(9) is None
    second = here.after(1)
    assert second
    assert uids(second.answered) == ["1.1", "1.2", "1.3"]
    here.studies.record(second, [Result("2.2", "2.2.dcm")], ["archive"])
    rows = here.database.rows("SELECT combination_id, sop_instance_uid FROM results")
    assert [tuple(row) for row in rows] == [(first.id, "2.1"), (first.id, "2.2")]


def test_a_report_made_twice_is_one_and_is_sent_once(here: Here) -> None:
    here.receive("1.1")
    here.read()
    study = here.after(10)
    assert study
    for _ in range(2):
        here.studies.record(study, [Result("2.1", "2.1.dcm")], ["archive", "other"])
    assert [here.database.rows(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("results", "deliveries")] == [1, 2]
    assert here.states() == [("combined", "")]
    here.studies.record(study, [], ["archive"])
    assert here.states() == [("single", "")]


def test_what_a_killed_node_was_combining_waits_again_and_at_last_fails(here: Here) -> None:
    for uid, study in (("1.1", "1.8"), ("1.2", "1.9")):
        here.receive(uid, study)
    here.read()
    assert here.after(10)
    assert here.studies.recover(2, [MODEL]) == 1
    again = [here.studies.claim(MODEL) for _ in range(2)]
    assert [study and study.study_instance_uid for study in again] == ["1.9", "1.8"], "the other first"
    assert here.studies.recover(2, [MODEL]) == 1
    assert here.states() == [("failed", "the node was killed 2 times while it combined this study"), ("waiting", "")]


def test_what_waits_for_a_model_that_no_longer_combines_has_failed(here: Here) -> None:
    here.receive("1.1")
    here.read()
    assert here.studies.recover(2, [MODEL]) == 0
    assert here.states() == [("waiting", "")]
    assert here.studies.recover(2, []) == 0
    assert here.states() == [("failed", "the node no longer combines by this model")]


def test_a_released_study_loses_no_attempt(here: Here) -> None:
    here.receive("1.1")
    here.read()
    here.clock.now += 10
    for _ in range(3):
        study = here.studies.claim(MODEL)
        assert study
        assert study.attempts == 0
        here.studies.release(study)


def test_an_image_of_a_model_that_does_not_combine_makes_nothing_wait(here: Here) -> None:
    here.receive("1.1")
    route_all(here.queue, MODEL)
    (task,) = here.queue.claim(MODEL, 9)
    here.queue.answer(task, [], [])
    assert here.states() == []


def test_a_claim_takes_no_longer_when_there_are_many_studies(tmp_path: Path) -> None:
    assert steps_of_a_claim(tmp_path / "many", 400) <= steps_of_a_claim(tmp_path / "few", 4) + 2
