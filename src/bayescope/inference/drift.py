"""Drift: whether the images of a site are still like those the model was validated on.

The last images are compared with the validation images by two-sample Kolmogorov-Smirnov tests: their novelty p-values, and
their log-likelihood ratios of each class against the rest.  Whoever tests again and again is bound to find something, so the
k-th look spends the share 6/(π²k²) of alpha, half of it on the novelty p-values and half on the ratios, divided by the number
of classes: the chance of any false alarm, over however many looks, is at most alpha (alpha spending: Lan and DeMets 1983).

An alarm on both says that the images have changed.  One on the ratios alone, with familiar images, is what another prevalence
looks like.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from bayescope.calibration.base import no_error
from bayescope.errors import RunError
from bayescope.evidence.level_weights import log_likelihood_ratio
from bayescope.types import Floats

_LOOKS_A_WINDOW = 4


@dataclass(frozen=True)
class Reference:
    """Validation images to compare a site's images with.

    Parameters
    ----------
    log_likelihood : ndarray of shape (n, classes)
        Calibrated log-likelihood, up to a constant common to the classes, of one image of each patient: out of fold, and scored
        as new images are, nats.
    """

    log_likelihood: Floats

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, fit for JSON."""
        return {"log_likelihood": self.log_likelihood.tolist()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.  Raises KeyError or ValueError if ``content`` is something else."""
        return cls(np.array(content["log_likelihood"], dtype=float))


@dataclass(frozen=True)
class Observation:
    """What is kept of an image: numbers only.

    Parameters
    ----------
    source : str
        A pseudonym of patient or study: of images of one source, which are not independent, the first counts.  Blank: the image
        is independent of all others.
    novelty_p_value : float or None
        As the novelty test gave it; None if there is none.
    log_ratios : tuple of float
        Log-likelihood ratio of each class against the rest, nats.
    """

    source: str
    novelty_p_value: float | None
    log_ratios: tuple[float, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any], source: str) -> Self:
        """From the record of an image.

        Parameters
        ----------
        record : mapping
            As of :meth:`bayescope.inference.predictions.Predictions.records`.
        source : str
            As above.

        Returns
        -------
        Observation
            Its numbers.
        """
        return cls(source, record["novelty_p_value"], tuple(record["log_likelihood_ratio"].values()))


@dataclass(frozen=True)
class Look:
    """The latest comparison.

    Parameters
    ----------
    number : int
        How many there have been.
    images : int
        Number of images compared.
    novelty_p_value, ratio_p_value : float or None
        p-values of the tests, the second corrected for the number of classes; None if there was nothing to compare with.
    threshold : float
        The share of alpha that each of them spent: an alarm is a p-value below it.
    """

    number: int
    images: int
    novelty_p_value: float | None
    ratio_p_value: float | None
    threshold: float

    @property
    def novelty_alarm(self) -> bool:
        """Whether the images are unlike the validation images."""
        return self.novelty_p_value is not None and self.novelty_p_value < self.threshold

    @property
    def ratio_alarm(self) -> bool:
        """Whether their ratios are distributed otherwise."""
        return self.ratio_p_value is not None and self.ratio_p_value < self.threshold

    def describe(self) -> str:
        """One line: what was found, and what to do about it."""
        if self.novelty_alarm:
            return "the images are unlike the validation images. Check scanner and views, or adapt the model: `bayescope adapt`"
        if self.ratio_alarm:
            return (
                "the ratios have shifted while the images are familiar, as at another prevalence. Estimate it with `bayescope "
                "prevalence`"
            )
        return "none found"


@dataclass(frozen=True)
class DriftTest:
    """Compares images of a site with the validation images.

    Parameters
    ----------
    novelty_images : int
        Held-out images of the novelty test; 0: there is none.
    log_ratios : ndarray of shape (n, classes), optional
        Ratios of the validation images (default: none to compare with).
    window : int, default 200
        Number of images that are compared.
    alpha : float, default 0.05
        Chance of any false alarm.
    """

    novelty_images: int
    log_ratios: Floats | None = None
    window: int = 200
    alpha: float = 0.05

    @classmethod
    def against(
        cls, reference: Reference | None, novelty_images: int, class_prior: Floats, window: int = 200, alpha: float = 0.05
    ) -> Self:
        """The test of images whose ratios are given at a prior.

        Parameters
        ----------
        reference : Reference or None
            The validation images.
        novelty_images : int
            As above.
        class_prior : ndarray of shape (classes,)
            Mixes the other classes in the ratios.
        window, alpha
            As above.

        Returns
        -------
        DriftTest
            The test.
        """
        ratios = None if reference is None else log_likelihood_ratio(reference.log_likelihood, class_prior, no_error)[0]
        return cls(novelty_images, ratios, window, alpha)

    def __call__(self, observations: Sequence[Observation], number: int) -> Look:
        """Compare images.

        Parameters
        ----------
        observations : sequence of Observation
            The images.
        number : int
            How many comparisons there have been, with this one.

        Returns
        -------
        Look
            What was found.
        """
        novelty = [found.novelty_p_value for found in observations if found.novelty_p_value is not None]
        grid = np.arange(1, self.novelty_images + 1) / (self.novelty_images + 1)
        tests = [bool(novelty and self.novelty_images), self.log_ratios is not None]
        return Look(
            number,
            len(observations),
            _kolmogorov_smirnov(novelty, grid) if tests[0] else None,
            self._of_ratios(np.array([found.log_ratios for found in observations])) if tests[1] else None,
            self.alpha * 6 / (np.pi * number) ** 2 / max(1, sum(tests)),
        )

    def watch(self) -> "DriftWatch":
        """A watch that has seen no image."""
        return DriftWatch(self)

    def _of_ratios(self, found: Floats) -> float:
        """Bonferroni's p-value of the classes; the ratios of two are one another's negatives."""
        assert self.log_ratios is not None
        classes = range(1 if found.shape[1] == 2 else 0, found.shape[1])
        p = [_kolmogorov_smirnov(found[:, k], self.log_ratios[:, k]) for k in classes]
        return min(1.0, len(p) * min(p))


@dataclass(frozen=True)
class DriftWatch:
    """Images of a site as they come, compared four times in the course of a window.

    Parameters
    ----------
    test : DriftTest
        Compares them.
    last : tuple of Observation
        The last images, at most a window of them.
    since_look : int
        Number of images since the latest comparison.
    look : Look, optional
        The latest comparison.

    Examples
    --------
    >>> watch = DriftWatch(DriftTest(novelty_images=99, window=20))
    >>> for i in range(20):
    ...     watch = watch.with_image(Observation("", 0.01, ()))
    >>> watch.look.novelty_alarm, watch.look.number
    (True, 1)
    """

    test: DriftTest
    last: tuple[Observation, ...] = ()
    since_look: int = 0
    look: Look | None = None

    def with_image(self, found: Observation) -> Self:
        """The watch after another image; unchanged by one of a source that is among the last.

        Parameters
        ----------
        found : Observation
            The image.

        Returns
        -------
        DriftWatch
            A copy.
        """
        if found.source and any(found.source == other.source for other in self.last):
            return self
        window = self.test.window
        last, since_look = (*self.last, found)[-window:], self.since_look + 1
        if len(last) < window or (self.look is not None and since_look < max(1, window // _LOOKS_A_WINDOW)):
            return replace(self, last=last, since_look=since_look)
        number = 1 if self.look is None else self.look.number + 1
        return replace(self, last=last, since_look=0, look=self.test(last, number))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and pseudonyms, fit for JSON: all but the test."""
        return {
            "last": [list(vars(found).values()) for found in self.last],
            "since_look": self.since_look,
            "look": None if self.look is None else asdict(self.look),
        }

    @classmethod
    def from_dict(cls, test: DriftTest, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.

        Parameters
        ----------
        test : DriftTest
            Compares from now on.
        content : dict
            As read from JSON.

        Returns
        -------
        DriftWatch
            The watch as it was.

        Raises
        ------
        RunError
            If ``content`` is something else.
        """
        try:
            last = tuple(Observation(source, novelty, tuple(ratios)) for source, novelty, ratios in content["last"])
            look = None if content["look"] is None else Look(**content["look"])
            return cls(test, last[-test.window :], content["since_look"], look)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"the state of the drift watch cannot be read ({error!r}); expected what a node wrote. Give the node another "
                "folder"
            ) from None

    def summary(self) -> dict[str, Any]:
        """What is known, as ``bayescope node status --json`` and the model card show it.

        Returns
        -------
        dict
            Plain numbers and words; p-values are None before the first comparison.
        """
        look = self.look
        return {
            "images": len(self.last),
            "window": self.test.window,
            "alpha": self.test.alpha,
            "looks": 0 if look is None else look.number,
            "novelty_p_value": None if look is None else look.novelty_p_value,
            "ratio_p_value": None if look is None else look.ratio_p_value,
            "threshold": None if look is None else look.threshold,
            "novelty_alarm": look is not None and look.novelty_alarm,
            "ratio_alarm": look is not None and look.ratio_alarm,
            "finding": "too few images yet" if look is None else look.describe(),
        }


def _kolmogorov_smirnov(found: Sequence[float] | Floats, expected: Floats) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(found, expected, method="asymp").pvalue)
