"""Comparison by patient: predictions of the images added up, labels by the rule."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from bayescope.calibration.pooling import GroupPooling
from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.errors import DataError
from bayescope.evaluation.compare.groups import grouped_data, grouped_results
from bayescope.evaluation.compare.run import Result
from bayescope.evaluation.compare.summary import summarise

LEARNED = GroupPooling("breast", None, 0.5, (0.2, -0.2), (30, 30), True)


@pytest.fixture
def data(tiny_data: Dataset) -> Dataset:
    """Breasts of two test images of one class; patients of two breasts that differ."""
    n = len(tiny_data.test)
    breasts = tuple(f"{i // 4} {'LR'[i % 2]}" for i in range(n))
    return replace(tiny_data, test=replace(tiny_data.test, breasts=breasts, groups=tuple(f"{i // 4}" for i in range(n))))


def result(data: Dataset, *poolings: GroupPooling) -> Result:
    logits = np.random.default_rng(0).normal(0, 1, (len(data.test), 2)) + 2 * np.eye(2)[data.test.labels]
    posterior = softmax(logits, axis=1).tolist()
    found = [one.to_dict() for one in poolings]
    return Result("", "bayescope", 0, 1.0, 60, posterior, 1.0, 2.0, 8.0, 4, 10, "cpu", 1, found)


def test_evidence_is_added_up_as_learned_or_else_by_the_mean(data: Dataset) -> None:
    given = result(data)
    logits = np.log(given.posterior)
    (mean,) = grouped_results([given], data.test, "breast")
    np.testing.assert_allclose(mean.posterior[0], softmax(logits[[0, 2]].mean(axis=0)))
    (learned,) = grouped_results([result(data, LEARNED)], data.test, "breast")
    np.testing.assert_allclose(learned.posterior[0], softmax((logits[0] + logits[2] + [0.2, -0.2]) / 1.5))
    assert learned.inference_seconds == given.inference_seconds / 2


def test_labels_follow_the_rule(data: Dataset, tiny_config: Config) -> None:
    breasts = grouped_data(data, "breast")
    assert len(breasts.test) == 20
    assert breasts.test.labels.tolist() == [0, 1] * 10
    with pytest.raises(DataError, match="10 of 10 groups by patient"):
        grouped_data(data, "patient")
    patients = grouped_data(data, "patient", "lower")
    assert patients.class_names == ("no lower", "lower")
    assert patients.test.labels.tolist() == [1] * 10
    summary = summarise(breasts, tiny_config, grouped_results([result(data)], data.test, "breast"), unit="breasts")
    assert (summary.test_images, summary.unit, summary.test_patients) == (20, "breasts", 10)


def test_one_image_is_enough(data: Dataset) -> None:
    (found,) = grouped_results([result(data)], data.test, "patient", "lower")
    logits = np.log(result(data).posterior)
    ratio = (logits[:4, 1] - logits[:4, 0]).mean()
    assert found.posterior[0][1] == pytest.approx(1 / (1 + np.exp(-ratio)))
