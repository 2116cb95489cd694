"""Predictions as records and joined; prevalences by name."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bayescope.errors import ConfigError
from bayescope.inference.decisions import Decision
from bayescope.inference.predictions import Predictions, check_prior
from report_data import evaluation

FOUND = evaluation(3, 6)


def test_a_prevalence_goes_to_the_class_of_its_name() -> None:
    names = ("benign", "malignant", "other")
    found = check_prior({"malignant": 0.2, "other": 0.1, "benign": 0.7}, names)
    np.testing.assert_allclose(found, [0.7, 0.2, 0.1])
    np.testing.assert_allclose(check_prior([0.7, 0.2, 0.1], names), found)


def test_a_prevalence_that_nearly_sums_to_one_is_made_to() -> None:
    found = check_prior([0.3334, 0.3333, 0.3337], ("a", "b", "c"))
    assert found.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, np.array([0.3334, 0.3333, 0.3337]) / 1.0004)
    for wrong in ([0.5, 0.502], [1.0, 0.0], [0.5, 0.25, 0.25]):
        with pytest.raises(ConfigError):
            check_prior(wrong, ("a", "b"))


def test_parts_are_joined_in_order() -> None:
    whole = replace(FOUND.predictions, passes=np.arange(6), calibrated=False)

    def part(chosen: slice) -> Predictions:
        arrays = {
            name: value[chosen] for name, value in vars(whole).items() if isinstance(value, np.ndarray) and len(value) == 6
        }
        return replace(whole, **arrays)

    joined = Predictions.joined([part(slice(0, 2)), part(slice(2, 6))])
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(joined, name), value)
    assert joined.calibrated is False
    assert joined.mean_passes == 2.5


@pytest.mark.parametrize("answered", [np.array([True, False, True, True, False, True]), None])
def test_a_record_has_the_numbers_of_its_image(answered: Any) -> None:
    predictions, model = FOUND.predictions, SimpleNamespace(**vars(FOUND.model))
    sets = np.eye(3, dtype=bool)[np.arange(6) % 3]
    model.decide = lambda _: Decision(predictions.posterior, sets, answered)
    names, seen = tuple("uvwxyz"), ("", "train", "", "val", "", "")
    remarks = ((), ("cut",), (), (), (), ())
    given: Any = model
    records = list(predictions.records(given, names, remarks, seen))
    assert [record["image"] for record in records] == list(names)
    for i, record in enumerate(records):
        k = int(predictions.posterior[i].argmax())
        assert record["class"] == model.class_names[k]
        for key in ("posterior", "log_likelihood_ratio", "standard_error", "posterior_error", "raw_log_likelihood_ratio"):
            assert list(record[key].values()) == getattr(predictions, key)[i].tolist(), key
            assert tuple(record[key]) == model.class_names
        assert record["prediction_set"] == [model.class_names[i % 3]]
        assert record["abstained"] == (None if answered is None else not answered[i])
        assert record["seen"] == (seen[i] or None)
        assert record["warnings"] == [*remarks[i]]
        assert record["passes"] == 40
        assert record["novelty_p_value"] is None
