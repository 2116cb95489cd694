"""The sections of a report, in their order.  A new one is one module here and its function in ``SECTIONS``."""

from typing import Protocol

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.sections import (
    cases,
    decisions,
    discrimination,
    groups,
    guide,
    header,
    headline,
    measures,
    post_test,
    samples,
    settings,
    training,
)


class Section(Protocol):
    """A part of the page, as HTML.

    Parameters
    ----------
    found : Evaluation
        What was measured.
    context : Context
        What is shown in addition.

    Returns
    -------
    str or None
        HTML, in which the section has escaped what users name; None to leave the section out.
    """

    def __call__(self, found: Evaluation, context: Context, /) -> str | None: ...


SECTIONS: tuple[Section, ...] = (
    header.section,
    headline.section,
    discrimination.section,
    measures.section,
    groups.section,
    post_test.section,
    decisions.section,
    cases.explanation,
    cases.surest,
    cases.mistaken,
    cases.suspicious,
    cases.unsure,
    samples.section,
    training.section,
    guide.section,
    settings.section,
)
"""In the order of the page."""
