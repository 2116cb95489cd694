"""The queue: batches, limits, and the same answer whatever the load."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bayescope.data.dataset import Dataset
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model
from bayescope.service import scorers
from bayescope.service.metrics import Metrics
from bayescope.service.scheduler import Busy, Closed, ImageJob, OtherJob, Scheduler, Scoring
from bayescope.service.scorers import LocalScorer, Tell
from bayescope.service.settings import ServiceSettings
from serving import client_of, files, listening, wait_until

DEFAULT = Scoring()


class Gate:
    """Work that holds the scoring thread up until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, model: LikelihoodModel, tell: Tell) -> None:
        self.entered.set()
        assert self.opened.wait(60)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> LikelihoodModel:
    """The model of the tiny run, batch-invariant, which takes a second to find out."""
    return scorers.batch_invariant(load_model(tiny_run))


@pytest.fixture
def scheduler(model: LikelihoodModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    monkeypatch.setattr(scorers, "batch_invariant", lambda model: model)
    found = Scheduler(LocalScorer(model), Metrics(), max_waiting=8, batch_wait=0.002)
    found.start()
    wait_until(lambda: found.state == "ok")
    yield found
    found.close()


@pytest.fixture
def held(scheduler: Scheduler) -> Iterator[Gate]:
    """The scoring thread is busy until the gate is opened."""
    gate = Gate()
    scheduler.submit([OtherJob(gate)])
    assert gate.entered.wait(60)
    yield gate
    gate.opened.set()


@pytest.fixture
def job(tiny_data: Dataset) -> Callable[..., ImageJob]:
    return lambda i=0, scoring=DEFAULT: ImageJob(tiny_data.test.pixels[i : i + 1], scoring, f"{i}", (), "")


def batches(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches from now on."""
    found: list[int] = []
    monkeypatch.setattr(scheduler._metrics, "count_batch", lambda images, passes: found.append(images))
    return found


def test_what_waits_is_scored_together(
    scheduler: Scheduler, held: Gate, job: Callable[..., ImageJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, jobs = batches(scheduler, monkeypatch), [job(i) for i in range(5)]
    for each in jobs:
        scheduler.submit([each])
    held.opened.set()
    assert [each.future.result(60)["image"] for each in jobs] == ["0", "1", "2", "3", "4"]
    assert sizes == [5]


def test_images_of_other_settings_have_a_batch_of_their_own(
    scheduler: Scheduler, held: Gate, job: Callable[..., ImageJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, rare = batches(scheduler, monkeypatch), Scoring(class_prior=(0.1, 0.9))
    jobs = [job(0), job(1, rare), job(2), job(3, rare), job(4)]
    scheduler.submit(jobs)
    held.opened.set()
    prevalences = [each.future.result(60)["prevalence"]["upper"] for each in jobs]
    assert prevalences == [0.5, 0.1, 0.5, 0.1, 0.5]
    assert sizes == [3, 2]


def test_a_full_queue_takes_all_images_of_a_request_or_none(
    scheduler: Scheduler, held: Gate, job: Callable[..., ImageJob]
) -> None:
    scheduler.submit([job(i) for i in range(6)])
    with pytest.raises(Busy, match="6 images are waiting"):
        scheduler.submit([job(i) for i in range(3)])
    scheduler.submit([job(0), job(1)])


def test_images_nobody_waits_for_are_not_scored(
    scheduler: Scheduler, held: Gate, job: Callable[..., ImageJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, jobs = batches(scheduler, monkeypatch), [job(i) for i in range(3)]
    scheduler.submit(jobs)
    assert jobs[1].future.cancel()
    held.opened.set()
    assert jobs[0].future.result(60)
    assert jobs[2].future.result(60)
    assert sizes == [2]


def test_an_error_goes_to_those_it_concerns_and_the_next_are_scored(scheduler: Scheduler, job: Callable[..., ImageJob]) -> None:
    broken = job(0, Scoring(max_passes=1))
    scheduler.submit([broken])
    with pytest.raises(Exception, match="max_passes 1"):
        broken.future.result(60)
    fine = job(1)
    scheduler.submit([fine])
    assert fine.future.result(60)["image"] == "1"


def test_closing_gives_up_what_waits(scheduler: Scheduler, held: Gate, job: Callable[..., ImageJob]) -> None:
    waiting = job(0)
    scheduler.submit([waiting])
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    with pytest.raises(Closed):
        waiting.future.result(60)
    held.opened.set()
    closing.join(60)
    assert scheduler.state == "stopped"
    with pytest.raises(Closed):
        scheduler.submit([job(1)])


def test_a_full_queue_is_told_with_when_to_try_again(tiny_run: Path, pictures: list[bytes]) -> None:
    with client_of(tiny_run, ServiceSettings(max_waiting=1)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = client.post("/v1/classify", files=files(*pictures[:2]))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/v1/classify", files=files(pictures[0])).status_code == 200


@pytest.mark.slow
def test_the_same_image_has_the_same_answer_to_the_last_bit_whatever_the_load(tiny_run: Path, pictures: list[bytes]) -> None:
    import httpx

    with listening(tiny_run) as url, httpx.Client(base_url=url, timeout=60) as client:

        def ask(i: int) -> bytes:
            return client.post("/v1/classify", files=files(pictures[i])).content

        alone = [ask(i) for i in range(12)]
        order = [i for _ in range(4) for i in range(12)]
        with ThreadPoolExecutor(16) as pool:
            loaded = list(pool.map(ask, order))
        sizes = client.get("/metrics").text
    assert loaded == [alone[i] for i in order]
    assert 'bayescope_batch_images_bucket{le="1.0"} 12.0' not in sizes or "bayescope_batch_images_count 60.0" not in sizes


def test_answers_while_starting(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def slowly(model: LikelihoodModel) -> LikelihoodModel:
        assert gate.wait(60)
        return model

    monkeypatch.setattr("bayescope.service.scorers.batch_invariant", slowly)
    with client_of(tiny_run) as client:
        assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
        gate.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
