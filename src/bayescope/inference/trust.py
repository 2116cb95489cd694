"""Trust tests: interface of the per-image checks that are fitted on held-out images, such as the novelty test.

A new one is a class that satisfies :class:`TrustTest`, and a line in :data:`bayescope.inference.trust_tests.TRUST_TESTS`.
It is then fitted with every model, saved in its run folder and applied to every image that is classified; ``classify`` and the
report show its results.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor

from bayescope.types import Floats, Labels


@dataclass(frozen=True)
class ScoredImages:
    """Images with their evidence, from which trust tests compute features.

    Parameters
    ----------
    x : Tensor of shape (n, channel, height, width)
        Images in model units.
    evidence : ndarray of shape (n, classes)
        Raw log-likelihood under each class, in nats up to a constant common to the classes.
    first_noise : ndarray of shape (n, levels)
        ``-‖x - D‖²/σ²`` at the first noise of each level, under the class of most evidence.  NaN at levels that were not scored
        because scoring stopped early and no test of the model needs them.
    """

    x: Tensor
    evidence: Floats
    first_noise: Floats


@dataclass(frozen=True)
class Finding:
    """The result of a trust test for one image, as it is shown.

    Parameters
    ----------
    record : mapping of str to value
        Entries of the image's JSON record: a value for each of :attr:`TrustTest.keys`.
    cell : str
        Cell of the table of ``bayescope classify``.
    short_cell : str
        The cell where there is little room.
    caption : str
        Line under the image in a report.
    warning : str, default ""
        Warning about the image; blank for none.
    """

    record: Mapping[str, Any]
    cell: str
    short_cell: str
    caption: str
    warning: str = ""


class TrustResult(Protocol):
    """Result of a trust test for ``n`` images."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Concatenate results of one test.

        Parameters
        ----------
        parts : sequence of TrustResult
            Results for consecutive images.

        Returns
        -------
        TrustResult
            The result for all images.
        """

    def finding(self, i: int) -> Finding:
        """The result for one image.

        Parameters
        ----------
        i : int
            Position of the image.

        Returns
        -------
        Finding
            The values and texts to show.
        """

    def suspicious(self, most: int) -> list[int]:
        """Images to show in a report.

        Parameters
        ----------
        most : int
            Largest number of images.

        Returns
        -------
        list of int
            Positions of suspicious images, the most suspicious first; empty if there are none.
        """


@dataclass(frozen=True)
class Wording:
    """Texts of a trust test in tables and reports.

    Parameters
    ----------
    column : str
        Head of its column in the table of ``bayescope classify``.
    short_column : str
        The head where there is little room.
    explanation : str
        What its column shows, for the caption of the table.
    not_fitted : str
        Warning for a model that was fitted without the test.
    gallery : str
        Title of the suspicious images in a report.
    none_suspicious : str
        Text in place of the images if there are none.
    """

    column: str
    short_column: str
    explanation: str
    not_fitted: str
    gallery: str
    none_suspicious: str


class TrustTest(Protocol):
    """A test of whether the prediction of an image can be relied on, fitted on held-out images.

    Attributes
    ----------
    wording : Wording
        Its texts in tables and reports.
    keys : tuple of str
        Keys of its entries in the JSON record of an image; None is their value where the test was not run.
    needs_first_noise : bool
        Whether its features use :attr:`ScoredImages.first_noise`.  After an early stop, levels at which the predicted class was
        not scored then cost a network pass each.
    """

    wording: ClassVar[Wording]
    keys: ClassVar[tuple[str, ...]]
    needs_first_noise: ClassVar[bool]

    @classmethod
    def features(cls, scored: ScoredImages) -> Floats:
        """Features of images, computed a few images at a time.

        Parameters
        ----------
        scored : ScoredImages
            Images with their evidence.

        Returns
        -------
        ndarray of shape (n, d)
            Features of each image, independent of the other images.
        """

    @classmethod
    def fit(cls, features: Floats, labels: Labels, patients: Sequence[Hashable] | None) -> Self | None:
        """Fit the test on held-out images.

        Parameters
        ----------
        features : ndarray of shape (n, d)
            Features of the held-out images.
        labels : ndarray of shape (n,)
            True class of each image.
        patients : sequence of shape (n,) or None
            Patient of each image; None if each image is of another patient.

        Returns
        -------
        TrustTest or None
            None if there are too few images.
        """

    def __call__(self, features: Floats) -> TrustResult:
        """Test images.

        Parameters
        ----------
        features : ndarray of shape (n, d)
            Features of the images.

        Returns
        -------
        TrustResult
            The result for each image.
        """

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and words, fit for JSON."""

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.

        Parameters
        ----------
        content : dict
            As read from JSON.

        Returns
        -------
        TrustTest
            An equal test.

        Raises
        ------
        RunError
            If ``content`` is something else.
        """
