"""Everything that is estimated on held-out images, as one value that is saved with the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from bayescope.calibration import Calibration, calibration_from_dict
from bayescope.calibration.affine import identity_calibration
from bayescope.calibration.pooling import GroupPooling
from bayescope.errors import RunError
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.plan import LevelStatistics
from bayescope.inference.decisions import Decisions
from bayescope.inference.drift import Reference
from bayescope.inference.trust import ScoredImages, TrustResult, TrustTest
from bayescope.inference.trust_tests import TRUST_TESTS
from bayescope.types import Floats


@dataclass(frozen=True)
class PostHoc:
    """What is fitted after training, on held-out images.

    ``level_weights``: weights of the noise levels; ``calibration`` of the likelihood ratios; ``statistics``: how evidence
    varies over levels, noises and images, which scoring sequentially needs; ``decisions``: prediction sets and abstention;
    ``reference``: what images of a site are compared with; ``tests``: the trust tests by their names in
    :data:`bayescope.inference.trust_tests.TRUST_TESTS`; ``poolings``: how the evidence of several images of a patient, breast
    or study is added up.  None, or not among the tests or poolings: there were too few held-out images.
    """

    level_weights: LevelWeights
    calibration: Calibration
    statistics: LevelStatistics | None = None
    decisions: Decisions | None = None
    reference: Reference | None = None
    tests: Mapping[str, TrustTest] = field(default_factory=dict)
    poolings: tuple[GroupPooling, ...] = ()

    @classmethod
    def unfitted(cls, sigmas: Floats, n_classes: int, warning: str = "") -> Self:
        """The bound's own level weights and raw ratios, of a model without held-out images; ``sigmas (levels,)`` rise."""
        no_bias, no_images = np.zeros(n_classes), (0,) * n_classes
        return cls(LevelWeights(level_spacing(sigmas), no_bias), identity_calibration(no_images, warning or _NO_IMAGES))

    @property
    def needs_first_noise(self) -> bool:
        """Whether a trust test uses the first noise of every level."""
        return any(test.needs_first_noise for test in self.tests.values())

    def test(self, scored: ScoredImages) -> dict[str, TrustResult]:
        """Apply every trust test to ``scored`` images; results by name."""
        return {name: test(test.features(scored)) for name, test in self.tests.items()}

    def pooling_of(self, by: str, positive: str | None, n_classes: int) -> GroupPooling:
        """The pooling that was fitted for groups ``by`` patient, breast or study, or else the mean of the images."""
        found = (one for one in self.poolings if (one.by, one.positive) == (by, positive))
        return next(found, GroupPooling.mean(by, positive, (0,) * n_classes))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        parts = {name: getattr(self, name) for name in _READERS} | {name: self.tests.get(name) for name in TRUST_TESTS}
        found: dict[str, Any] = {name: None if part is None else part.to_dict() for name, part in parts.items()}
        return found | {"poolings": [one.to_dict() for one in self.poolings]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises KeyError, TypeError, ValueError or RunError for anything else."""
        content = {"reference": None} | content  # runs of before it was kept
        parts: dict[str, Any] = {
            name: None if content[name] is None else read(content[name]) for name, read in _READERS.items()
        }
        poolings = tuple(map(GroupPooling.from_dict, content.get("poolings", ())))  # absent in runs of earlier versions
        others = {name: part for name, part in content.items() if name not in (*_READERS, "poolings")}
        fitted = {name: part for name, part in others.items() if part is not None}
        if unknown := sorted(set(fitted) - set(TRUST_TESTS)):
            raise RunError(
                f"trust tests {', '.join(unknown)} cannot be read; expected of {', '.join(TRUST_TESTS)}. Register them in "
                "bayescope.inference.trust_tests.TRUST_TESTS before the model is loaded, or train it again with --force"
            )
        tests = {name: TRUST_TESTS[name].from_dict(part) for name, part in fitted.items()}
        return cls(**parts, tests=tests, poolings=poolings)


_NO_IMAGES = "uncalibrated likelihood ratios: no images were held out to calibrate them on, and raw ratios overstate"
_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "level_weights": LevelWeights.from_dict,
    "calibration": calibration_from_dict,
    "statistics": LevelStatistics.from_dict,
    "decisions": Decisions.from_dict,
    "reference": Reference.from_dict,
}
