"""The trust tests, by name."""

from bayescope.inference.novelty import NoveltyTest
from bayescope.inference.trust import TrustTest

TRUST_TESTS: dict[str, type[TrustTest]] = {"novelty": NoveltyTest}
"""By their names in ``PostHoc.tests`` and ``Predictions.trust``, in the order in which commands show their results."""
