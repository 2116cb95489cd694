"""The process that scores images: its results, errors and progress, and what happens when it ends."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import started  # noqa: F401  what it imports is there for processes of the fork server
from bayescope.data.dataset import Dataset
from bayescope.errors import DataError, RunError
from bayescope.inference.model import LikelihoodModel
from bayescope.runs.model_file import load_model, model_fingerprint
from bayescope.service import scorers
from bayescope.service.scorers import LocalScorer, ProcessScorer, Scorer, Tell, Unavailable
from serving import client_of, files, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def forked() -> Iterator[None]:
    """Processes that need not import everything anew; one that does is in test_serve_process.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorers, "CONTEXT", multiprocessing.get_context("forkserver"))
        yield


def evidence(pixels: Any, model: LikelihoodModel, tell: Tell) -> list[list[float]]:
    tell("begun")
    found: list[list[float]] = model.classify(pixels).evidence.tolist()
    return found


def fail(model: LikelihoodModel, tell: Tell) -> None:
    raise DataError("found this; expected that. Do so")


def die(model: LikelihoodModel, tell: Tell) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nothing(told: Any) -> None:
    pass


@pytest.fixture(scope="module")
def scorer(tiny_run: Path) -> Iterator[ProcessScorer]:
    found = ProcessScorer(tiny_run, "cpu", model_fingerprint(tiny_run))
    found.start()
    yield found
    found.close()
    assert found._process is not None
    assert found._process.exitcode == 0


def test_results_are_those_of_this_process_in_order(scorer: ProcessScorer, tiny_run: Path, tiny_data: Dataset) -> None:
    here: Scorer = LocalScorer(load_model(tiny_run))
    here.start()
    works = [partial(evidence, tiny_data.test.pixels[i : i + 3]) for i in range(3)]
    told: list[Any] = []
    found = [scorer.submit(work, told.append) for work in works]
    assert [future.result(60) for future in found] == [here.submit(work, nothing).result() for work in works]
    assert told == ["begun"] * 3


@pytest.mark.parametrize("local", [False, True])
def test_an_error_is_that_of_the_work(scorer: ProcessScorer, tiny_run: Path, local: bool) -> None:
    place: Scorer = LocalScorer(load_model(tiny_run)) if local else scorer
    with pytest.raises(DataError, match="Do so"):
        place.submit(fail, nothing).result(60)


def test_a_process_that_ends_is_started_again(scorer: ProcessScorer, tiny_data: Dataset) -> None:
    before = scorer.pid
    lost = [scorer.submit(work, nothing) for work in (die, partial(evidence, tiny_data.test.pixels[:1]))]
    for future in lost:
        with pytest.raises(Unavailable):
            future.result(60)
    assert len(scorer.submit(partial(evidence, tiny_data.test.pixels[:2]), nothing).result(60)) == 2
    assert scorer.pid != before


def test_a_service_answers_as_one_that_scores_in_its_own_process(tiny_run: Path, pictures: list[bytes]) -> None:
    from bayescope.service.settings import ServiceSettings

    answers = []
    for apart in (False, True):
        with client_of(tiny_run, ServiceSettings(scoring_process=apart)) as client:
            wait_until(lambda client=client: client.get("/readyz").status_code == 200)  # type: ignore[misc]
            answers.append(client.post("/v1/classify", files=files(*pictures[:5])).content)
            answers.append(client.post("/v1/explain", files=files(pictures[0])).content)
            has_metric = "scoring_process_resident_memory_bytes" in client.get("/metrics").text
            assert has_metric == apart
    assert answers[:2] == answers[2:]


def test_a_run_that_cannot_be_loaded_makes_no_process(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none: has no model\.safetensors"):
        ProcessScorer(tmp_path / "none", "cpu", "").start()


def test_another_model_in_the_folder_scores_nothing(tiny_run: Path) -> None:
    with pytest.raises(Unavailable, match="another model"):
        ProcessScorer(tiny_run, "cpu", "of another model").start()
