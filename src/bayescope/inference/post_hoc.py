"""Everything that is estimated on held-out images, as one value that is saved with the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bayescope.calibration import Calibration, calibration_from_dict
from bayescope.calibration.affine import identity_calibration
from bayescope.evidence.level_weights import LevelWeights, level_spacing
from bayescope.evidence.plan import LevelStatistics
from bayescope.inference.decisions import Decisions
from bayescope.inference.novelty import NoveltyTest
from bayescope.types import Floats


@dataclass(frozen=True)
class PostHoc:
    """What is fitted after training, on held-out images.

    ``level_weights``: weights of the noise levels; ``calibration`` of the likelihood ratios; ``statistics``: how evidence
    varies over levels, noises and images, which scoring sequentially needs; ``novelty``: out-of-distribution test against the
    held-out images; ``decisions``: prediction sets and abstention.  None: there were too few held-out images.
    """

    level_weights: LevelWeights
    calibration: Calibration
    statistics: LevelStatistics | None = None
    novelty: NoveltyTest | None = None
    decisions: Decisions | None = None

    @classmethod
    def unfitted(cls, sigmas: Floats, n_classes: int, warning: str = "") -> Self:
        """The bound's own level weights and raw ratios, of a model without held-out images; ``sigmas (levels,)`` rise."""
        no_bias, no_images = np.zeros(n_classes), (0,) * n_classes
        return cls(LevelWeights(level_spacing(sigmas), no_bias), identity_calibration(no_images, warning or _NO_IMAGES))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""
        return {name: None if part is None else part.to_dict() for name, part in vars(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises KeyError, TypeError, ValueError or RunError for anything else."""
        parts: dict[str, Any] = {
            name: None if content[name] is None else read(content[name]) for name, read in _READERS.items()
        }
        return cls(**parts)


_NO_IMAGES = "uncalibrated likelihood ratios: no images were held out to calibrate them on, and raw ratios overstate"
_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "level_weights": LevelWeights.from_dict,
    "calibration": calibration_from_dict,
    "statistics": LevelStatistics.from_dict,
    "novelty": NoveltyTest.from_dict,
    "decisions": Decisions.from_dict,
}
