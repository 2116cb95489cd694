"""The calibration error of the benchmark on corrupted images."""

import numpy as np
from benchmarks.robustness import equal_width_ece


def test_calibration_error_of_a_calibrated_and_an_overconfident_answer() -> None:
    rng = np.random.default_rng(0)
    posterior = rng.dirichlet(np.ones(2), 20_000)
    labels = np.array([rng.choice(2, p=row) for row in posterior])
    assert equal_width_ece(posterior, labels) < 0.02
    assert equal_width_ece(np.round(posterior), labels) > 0.2
