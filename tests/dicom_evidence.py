"""An explanation led back to a source, made up."""

import numpy as np

from bayescope.dicom import ModelIdentity, SourceEvidence
from bayescope.inference.evidence_maps import EvidenceMap
from bayescope.inference.explain import Explanation
from bayescope.inference.predictions import Predictions

MODEL = ModelIdentity("0123456789abcdef" * 4, "1.2.3")


def explanation(
    winner: int = 1, against: int | None = None, prior: tuple[float, float] = (0.99, 0.01), class_name: str = "malignant"
) -> Explanation:
    ratio, log_posterior = np.array([[-5.29, 5.29]]), np.log([[1 / 3, 2 / 3]])
    predictions = Predictions(
        evidence=ratio,
        log_posterior=log_posterior,
        log_likelihood_ratio=ratio,
        standard_error=np.full((1, 2), 0.1),
        posterior_error=np.full((1, 2), 0.01),
        raw_log_likelihood_ratio=ratio,
        class_prior=np.array(prior),
        passes=np.array([24]),
        calibrated=True,
    )
    levels = np.full((1, 1, 8, 8), 5.29 / 64)
    names = ("normal or benign", class_name)
    return Explanation(np.zeros((1, 1, 8, 8)), names, predictions, winner, against, EvidenceMap(levels, np.zeros(1)), False)


def source_evidence(shape: tuple[int, int] = (48, 32), **changes: object) -> SourceEvidence:
    """A picture that darkens to the right, with evidence for the class at one place and against it at another."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    picture = np.broadcast_to(np.linspace(255, 0, shape[1]), shape).astype(np.uint8)
    places = ((1.0, 0.3, 0.25), (-0.6, 0.7, 0.5))
    evidence = sum(
        height * np.exp(-((rows / shape[0] - row) ** 2 + (columns / shape[1] - column) ** 2) / (2 * 0.06**2))
        for height, row, column in places
    )
    return SourceEvidence(explanation(**changes), picture, evidence, "left")  # type: ignore[arg-type]
