"""A patient's images count once in every interval; what is decided does not move with the prevalence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayescope.data.dataset import Dataset
from bayescope.evaluation.evaluate import Evaluation, Scored, measured
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.bootstrap import Estimate
from bayescope.runs.model_file import load_model


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> LikelihoodModel:
    return load_model(tiny_run)


def estimates(found: Evaluation) -> dict[str, Estimate]:
    named = {f"{name} {what}": one for name, rows in found.by_class.items() for what, one in rows.items()}
    trust = {f"{name} {what}": one.measured for name, rows in found.trust.items() for what, one in rows.items()}
    return {**found.measures, **named, **trust}


@pytest.mark.slow
def test_images_shown_four_times_leave_intervals_as_wide(model: LikelihoodModel, tiny_data: Dataset) -> None:
    """A third of the labels are wrong; taken for images of others, those shown again would halve every interval."""
    n, times = len(tiny_data.test), 4
    once = replace(tiny_data.test, labels=np.where(np.arange(n) % 3 == 0, 1 - tiny_data.test.labels, tiny_data.test.labels))
    again = once.subset(np.tile(np.arange(n), times))
    again = replace(again, groups=tuple(f"patient {i % n}" for i in range(times * n)))
    predictions = model.classify(again.pixels)
    single, several = (
        estimates(measured([Scored(model, images, said)]))
        for images, said in ((once, model.classify(once.pixels)), (again, predictions))
    )
    for name, one in single.items():
        assert several[name].value == pytest.approx(one.value, abs=0.02), name
        if one.high > one.low:
            assert several[name].high - several[name].low > 0.75 * (one.high - one.low), name


def test_sets_and_abstention_do_not_move_with_the_prevalence(model: LikelihoodModel, tiny_data: Dataset) -> None:
    pixels = tiny_data.test.pixels
    rare, common = (model.classify(pixels, prior, disagreement_rate=0) for prior in ([0.001, 0.999], [0.999, 0.001]))
    assert not np.allclose(rare.posterior, common.posterior)
    one, other = model.decide(rare), model.decide(common)
    assert one is not None
    assert other is not None
    assert not one.sets.all()
    np.testing.assert_array_equal(one.sets, other.sets)
    np.testing.assert_array_equal(one.answered, other.answered)
