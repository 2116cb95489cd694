"""Score and p-value of the novelty test, computed by hand for a fold written down."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from bayescope.inference.novelty import Fold, NoveltyTest

MEAN, VARIANCE = np.array([1.0, -2.0, 0.5]), np.array([4.0, 0.25, 1.0])
FOLD = Fold(MEAN, np.diag(VARIANCE), np.array([0.2, 1.0, 3.0]))


@pytest.mark.parametrize("off", [[0.1, 0.0, 5.0], [1.5, 1.6, -1.7], [-4.0, 0.0, 0.0]], ids=["one", "pattern", "below"])
def test_the_score_is_of_the_smaller_tail(off: list[float]) -> None:
    """Of the distance over three features, and of the largest of three deviations either way."""
    deviation = np.array(off)
    pattern, single = chi2(3).sf((deviation**2).sum()), 2 * 3 * norm.sf(np.abs(deviation).max())
    features = (MEAN + np.sqrt(VARIANCE) * deviation)[None]
    assert FOLD.score(features)[0] == pytest.approx(-np.log(min(pattern, single)))
    np.testing.assert_allclose(NoveltyTest((FOLD,))(features).deviation[0], deviation)


def test_a_held_out_image_that_is_as_odd_counts_as_odder() -> None:
    features = (MEAN + np.sqrt(VARIANCE) * np.array([3.0, 0.0, 0.0]))[None]
    score = FOLD.score(features)[0]
    folds = (Fold(MEAN, np.diag(VARIANCE), np.array([score, 0.0])), Fold(MEAN, np.diag(VARIANCE), np.array([score + 1, 0.1])))
    found = NoveltyTest(folds)(features)
    assert found.images == 4
    assert found.p_value[0] == pytest.approx((1 + 2) / (1 + 4))
    assert found.score[0] == pytest.approx(score)
