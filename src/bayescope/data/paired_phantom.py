"""A phantom of two views with a known joint likelihood: the same lesion in two textures that are alike.

Both views of a pair show the same class, the lesion at the same place and of the same contrast, which varies: a faint lesion is
faint in both.  Their textures have the correlation r, the detector's noise is independent.  Sum and difference of the views are
then independent, and the lesion is in the sum alone.  Divided by √(2 (1 + r)), the sum is an image of the same texture with the
noise divided by √(1 + r) and the lesion times √(2 / (1 + r)): Bayes' rule on its likelihood is the ideal observer of the pair.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bayescope.data.phantom import CLASS_NAMES, Phantom


@dataclass(frozen=True)
class PairedPhantom(Phantom):
    """Pairs of views; the likelihood of one view is that of :class:`~bayescope.data.phantom.Phantom`.

    ``correlation`` is that of the textures of two views; ``contrasts``, equally frequent, multiply the contrast of the lesion.
    """

    correlation: float = 0.5
    contrasts: tuple[float, ...] = (0.5, 1.0, 1.5)

    @cached_property
    def lesions(self) -> NDArray[np.float64]:
        """Noise-free lesion profiles at every place and contrast: ``(class, places and contrasts, size, size)``."""
        at_each_place = super().lesions
        return np.concatenate([contrast * at_each_place for contrast in self.contrasts], axis=1)

    def sample_pairs(self, n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Draw ``n`` pairs with classes as equally frequent as can be, in random order.

        Returns views ``(n, 2, size, size)`` in units of the texture's standard deviation, and labels ``(n,)``.
        """
        rng, noiseless = np.random.default_rng(seed), replace(self, detector_noise=0.0)
        labels = rng.permutation(np.arange(n) % len(CLASS_NAMES))
        lesions = self.lesions[labels, rng.integers(self.lesions.shape[1], size=n)]
        common = np.sqrt(self.correlation) * noiseless.texture(n, rng)
        views = []
        for _ in range(2):
            own = np.sqrt(1 - self.correlation) * noiseless.texture(n, rng)
            noise = self.detector_noise * rng.standard_normal((n, self.size, self.size))
            views.append(common + own + noise + lesions)
        return np.stack(views, axis=1).astype(np.float32), labels

    def joint_log_likelihood(self, pairs: NDArray[Any]) -> NDArray[np.float64]:
        """Exact log p(pair | class) of ``(n, 2, size, size)``, nats up to a constant for each pair: ``(n, classes)``."""
        return self._of_sum.log_likelihood(pairs.sum(axis=1) / np.sqrt(2 * (1 + self.correlation)))

    @cached_property
    def _of_sum(self) -> Self:
        more = np.sqrt(2 / (1 + self.correlation))
        return replace(
            self,
            detector_noise=self.detector_noise / np.sqrt(1 + self.correlation),
            mass_contrast=more * self.mass_contrast,
            speck_contrast=more * self.speck_contrast,
        )
