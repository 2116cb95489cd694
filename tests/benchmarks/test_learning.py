"""What the benchmark of learning does to the data before it trains."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.learning import WAYS, with_pseudo_labels, with_share

from bayescope.data.dataset import Dataset
from conftest import stripes


@pytest.fixture
def data() -> Dataset:
    return Dataset(stripes(200, 1), stripes(100, 2), stripes(40, 3), source="stripes")


def test_a_share_keeps_its_part_of_each_class_and_hides_the_other_labels(data: Dataset) -> None:
    labelled, val = with_share(data, 5, seed=0, unlabelled=True)
    assert np.bincount(labelled.train.labels).tolist() == [5, 5]
    assert labelled.unlabelled is not None
    assert len(labelled.unlabelled) == 190
    assert (labelled.unlabelled.labels == -1).all()
    assert set(labelled.train.names) | set(labelled.unlabelled.names) == set(data.train.names)
    assert np.bincount(data.val.labels[val]).tolist() == [10, 10]  # at least 20
    assert np.array_equal(labelled.test.pixels, data.test.pixels)
    assert with_share(data, 5, seed=0, unlabelled=False)[0].unlabelled is None
    assert with_share(data, 5, seed=1, unlabelled=False)[0].train.names != labelled.train.names
    assert with_share(data, 100, seed=0, unlabelled=True)[0] is data


def test_pseudo_labels_are_of_images_that_the_network_is_sure_of(data: Dataset) -> None:
    few = replace(data, train=data.train.subset(np.arange(10)), unlabelled=data.train.subset(np.arange(10, 14)))
    posterior = np.array([[0.99, 0.01], [0.5, 0.5], [0.02, 0.98], [0.9, 0.1]])
    joined = with_pseudo_labels(few, posterior)
    assert joined.train.names == (*few.train.names, data.train.names[10], data.train.names[12])
    assert joined.train.labels[10:].tolist() == [0, 1]
    assert joined.train.labels[:10].tolist() == few.train.labels.tolist()
    assert np.array_equal(joined.train.pixels[11], data.train.pixels[12])


def test_ways_are_valid_configurations() -> None:
    from bayescope.config import parse_config

    for ways in WAYS.values():
        for way in ways.values():
            parse_config({"net": way.net, "training": way.training})
